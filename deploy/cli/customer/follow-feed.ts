import {
  type Event,
  isPassing,
  type Query,
  type Tandem,
} from '../../../schemas/clients/typescript/src/index.ts';
import { elementsOf, membersOf } from '../../../schemas/clients/typescript/src/raw-json.ts';
import { sleep } from '../../../schemas/clients/typescript/src/retry.ts';
import type { Customer } from './customer-command.ts';
import { printable } from './format.ts';

const PAGE_EVENTS = 100;
const POLL_MS = 1_000;
const RETRY_MS = 5_000;

/** A page of the feed whose events are the texts that webhooks sign, with all digits of their numbers. */
export interface FeedPage {
  readonly texts: readonly string[];
  /** Where to continue: the next `after`. */
  readonly cursor: string;
}

/** Where the feed is read from. Neither: from now. */
export interface FeedStart {
  readonly after?: string | undefined;
  readonly afterExport?: string | undefined;
}

/**
 * The feed, page by page, also those without events. Failures that pass are shown and waited for.
 *
 * @param endsAtPresent whether it ends when everything is read; else it continues until the signal ends it
 * @throws ApiError, such as GoneError when the events are no longer retained
 */
export async function* followFeed(
  { client, signal, note }: Customer,
  start: Query<'listEvents'>,
  endsAtPresent: boolean,
): AsyncGenerator<FeedPage, void, undefined> {
  const api = client();
  let query: Query<'listEvents'> = { ...start, limit: PAGE_EVENTS };
  for (;;) {
    let text: string;
    try {
      text = await api.requestText('listEvents', { query }, { signal });
    } catch (error) {
      if (endsAtPresent || !isPassing(error)) throw error;
      note(`${printable(error.message)} Trying again.`);
      await sleep(RETRY_MS, signal);
      continue;
    }
    const page = membersOf(text);
    const cursor = JSON.parse(page.get('next_cursor') ?? 'null') as string;
    yield { texts: elementsOf(page.get('data') ?? '[]'), cursor };
    query = { ...query, after_export: undefined, after: cursor };
    if (page.get('has_more') === 'true') continue;
    if (endsAtPresent) return;
    await sleep(POLL_MS, signal);
  }
}

/** The query of a start. From now is: after the newest event that there is. */
export async function startQuery(
  client: Tandem,
  { after, afterExport }: FeedStart,
  signal: AbortSignal,
): Promise<Query<'listEvents'>> {
  if (afterExport !== undefined) return { after_export: afterExport };
  if (after !== undefined) return { after };
  const { data } = await client.request('searchEvents', { query: { limit: 1 } }, { signal });
  const newest = data[0] as Event | undefined;
  return newest === undefined ? {} : { after: newest.id };
}

/** An event in one line: time, type, key, and what changed. */
export function eventLine(text: string): string {
  const { timestamp, type, key, previous, data } = JSON.parse(text) as Event;
  const changed = previous === undefined ? [] : [Object.keys(previous).join(', ')];
  // Events of the feed itself have no record.
  const about = key === null ? [JSON.stringify(data)] : [JSON.stringify(key), ...changed];
  return printable([timestamp, type, ...about].join('  '));
}
