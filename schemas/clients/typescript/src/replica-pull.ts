import { type RawEvent, readPage } from './apply-event.ts';
import type { Tandem } from './client.ts';
import { GoneError, InvalidError, NotFoundError, TandemError } from './errors.ts';
import type { ReplicaState } from './replica-state.ts';

export const PAGE_EVENTS = 1_000;

/** Where a page of the feed begins. */
export interface After {
  readonly after?: string | undefined;
  readonly after_export?: string | undefined;
}

/** A page of the feed, its events as their JSON texts. @throws TandemError */
export async function readEvents(
  client: Tandem,
  after: After,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<{ events: RawEvent[]; hasMore: boolean; cursor: string }> {
  const query = { ...after, limit };
  const text = await client.requestText('listEvents', { query }, { signal });
  try {
    return readPage(text);
  } catch (cause) {
    throw new TandemError('The response to GET /events is no page of events. Is it the API’s?', { cause });
  }
}

/** Whether the feed no longer reaches back to the replica. */
export function isTooOld(error: unknown): boolean {
  return (
    error instanceof GoneError ||
    error instanceof NotFoundError ||
    (error instanceof InvalidError && error.errors.some(({ pointer }) => pointer.endsWith('after_export')))
  );
}

/**
 * Applies the events before a position, and none from there on. Those of an endpoint come again later, and change nothing.
 *
 * @throws what `apply` throws; ApiError, ConnectionError
 */
export async function pullTo(
  client: Tandem,
  state: ReplicaState,
  position: string,
  apply: (events: readonly RawEvent[], cursor: string) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let after = await startOf(client, state, signal);
  for (let limit = PAGE_EVENTS; ; ) {
    const page = await readEvents(client, after, limit, signal).catch((error: unknown) => {
      // The export is older than the events that are kept, and so is its seal: the position alone is enough.
      if (isTooOld(error) && after.after !== undefined && after.after_export !== undefined) return undefined;
      throw error;
    });
    if (page === undefined) {
      after = { after: after.after };
      continue;
    }
    const before = page.events.filter((event) => (event.position ?? '') < position);
    if (before.length === page.events.length) {
      await apply(page.events, page.cursor);
      if (!page.hasMore) return;
      after = { after: page.cursor };
      limit = PAGE_EVENTS;
    } else {
      if (before.length === 0) return;
      // The cursor of a page is behind all of its events, so one is read that ends at the position.
      limit = before.length;
    }
  }
}

/** Behind what an endpoint has delivered in strict order, nothing is missing. */
async function startOf(
  client: Tandem,
  { cursor, exportId, position, webhook }: ReplicaState,
  signal: AbortSignal | undefined,
): Promise<After> {
  if (webhook !== undefined && position !== undefined && webhook.exportId === exportId) {
    const { order } = await client.webhooks.get(webhook.id, { signal });
    if (order === 'strict') return { after: position, after_export: exportId };
  }
  return cursor === undefined ? { after_export: exportId } : { after: cursor };
}
