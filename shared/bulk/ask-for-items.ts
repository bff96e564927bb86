import type { Pool } from 'pg';
import type { Application, NumberedItem } from './apply-statement.ts';
import { callHandler, type HandlerFault } from './call-handler.ts';
import { checkStatement } from './check-statement.ts';
import { type NotedResult, noteResults } from './ledger.ts';
import { runLines } from './run-lines.ts';

export interface AskOptions {
  readonly source: Pool;
  readonly signal: AbortSignal;
  /** Requests at once. */
  readonly concurrency: number;
}

/**
 * Asks the operation's handler for each item and writes what came of it into the ledger as soon as it is known. A crash between the
 * two asks again with the same `Idempotency-Key`, which is what makes the handler's effect one.
 *
 * When a result can't be written, no further item is asked for and requests under way are broken off before that is thrown.
 *
 * @returns the places of items that were asked for when the signal came, with what was in the way so far; those and the ones
 *   that were not asked for have no ledger row
 */
export async function askForItems(
  application: Application,
  items: readonly NumberedItem[],
  { source, signal, concurrency }: AskOptions,
): Promise<ReadonlyMap<number, HandlerFault | null>> {
  const { operation, jobId } = application;
  if (operation.kind !== 'http') throw new RangeError('only HTTP operations have a handler');
  const { text, values } = checkStatement(application, items);
  const { rows } = await source.query<{ seq: string; code: string | null }>(text, [...values]);
  const codes = new Map(rows.map(({ seq, code }) => [Number(seq), code]));
  const refused = items.flatMap((item): NotedResult[] => {
    const code = codes.get(item.seq) ?? null;
    if (code === null) return [];
    const isMissing = code === 'not_found';
    const message = isMissing ? 'There is no such record.' : null;
    return [{ ...item, status: isMissing ? 'failed' : 'skipped', code, message }];
  });
  await noteResults(source, jobId, refused);
  const open = items.filter(({ seq }) => (codes.get(seq) ?? null) === null).values();
  const unsettled = new Map<number, HandlerFault | null>();
  await runLines(Math.min(concurrency, items.length), async (failed) => {
    const over = AbortSignal.any([signal, failed]);
    // Lines share one iterator, so that an item which hangs holds up its own line only.
    for (const item of open) {
      if (over.aborted) return;
      const outcome = await callHandler(
        {
          url: operation.url,
          timeoutMs: operation.timeoutMs,
          idempotencyKey: `${jobId}/${item.itemId}`,
          body: bodyOf(application, item),
        },
        over,
      );
      if (outcome.status === 'stopped') {
        unsettled.set(item.seq, outcome.fault);
        return;
      }
      const { code, message } = outcome.status === 'failed' ? outcome.fault : { code: null, message: null };
      await noteResults(source, jobId, [{ ...item, status: outcome.status, code, message }]);
    }
  });
  return unsettled;
}

function bodyOf({ jobId, table, sourceId, params }: Application, { itemId, key }: NumberedItem): unknown {
  return {
    job_id: jobId,
    resource: table.resource.name,
    item_id: itemId,
    key: Object.fromEntries(table.key.map(({ name }, index) => [name, key[index]])),
    account: sourceId,
    params,
  };
}
