import type { Api, ItemOf } from './api.ts';
import { Pages } from './pages.ts';
import { sleep } from './retry.ts';
import type { CallOptions } from './transport.ts';
import type { Event, Query, Redelivery } from './types.ts';

/** A page of the feed. */
export interface EventPage {
  /** Oldest first. */
  readonly data: readonly Event[];
  /** Whether more can be read at once. A page may be empty and have more. */
  readonly has_more: boolean;
  /** Where to continue: the next `after`. */
  readonly next_cursor: string;
}

/** The feed of changes, by pulling. */
export class Events {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** One page of the feed, after `after_export`, or after a cursor, an event or a position (`after`). */
  pull(query: Query<'listEvents'> = {}, options: CallOptions = {}): Promise<EventPage> {
    return this.#api.call('listEvents', { query }, options) as Promise<EventPage>;
  }

  /** The feed up to now. To continue later, use `pull` or `follow` and keep the cursor. */
  list(query: Query<'listEvents'> = {}, options: CallOptions = {}): Pages<Event> {
    return new Pages((cursor) =>
      this.pull(cursor === undefined ? query : { ...query, after_export: undefined, after: cursor }, options),
    );
  }

  /** Events by type, record and time, newest first. */
  search(query: Query<'searchEvents'> = {}, options: CallOptions = {}): Pages<Event> {
    return this.#api.pages('searchEvents', { query }, options) as Pages<Event>;
  }

  /**
   * The feed without end, in pages that have events. Store what a page does together with its `next_cursor`, and pass
   * that as `after` the next time: then nothing is missed or done twice.
   *
   * @param options.pollMs time between two requests once everything is read. Default: one second
   */
  async *follow(
    query: Query<'listEvents'> = {},
    options: CallOptions & { readonly pollMs?: number | undefined } = {},
  ): AsyncGenerator<EventPage, void, undefined> {
    let next = query;
    for (;;) {
      const page = await this.pull(next, options);
      if (page.data.length > 0) yield page;
      next = { ...query, after_export: undefined, after: page.next_cursor };
      if (!page.has_more) await sleep(options.pollMs ?? DEFAULT_POLL_MS, options.signal);
    }
  }

  get(id: string, options: CallOptions = {}): Promise<Event> {
    return this.#api.call('getEvent', { params: { id } }, options) as Promise<Event>;
  }

  /** Where an event is delivered, and how far that is, endpoint by endpoint. */
  deliveries(id: string, options: CallOptions = {}): Pages<ItemOf<'listEventDeliveries'>> {
    return this.#api.pages('listEventDeliveries', { params: { id } }, options);
  }

  /** Delivers one event to an endpoint again. */
  redeliver(id: string, webhookId: string, options: CallOptions = {}): Promise<Redelivery> {
    const body = { webhook_id: webhookId };
    return this.#api.call('redeliverEvent', { params: { id }, body }, options) as Promise<Redelivery>;
  }
}

const DEFAULT_POLL_MS = 1_000;
