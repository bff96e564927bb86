import type { PoolClient } from 'pg';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { keyOf, type Statement } from '../../../shared/bulk/select-items.ts';
import type { ListedItem } from '../../../shared/domain/bulk.ts';
import { SourceQueryError } from '../job-failures.ts';

const PAGE_ITEMS = 10_000;

/**
 * The items of a selection under one snapshot, in key order, in pages.
 *
 * @throws SourceQueryError
 */
export async function* listFilter(
  client: PoolClient,
  selection: Statement,
  table: BulkTable,
): AsyncGenerator<ListedItem[]> {
  try {
    yield* readPages(client, selection, table);
  } catch (cause) {
    throw new SourceQueryError(cause);
  }
}

async function* readPages(
  client: PoolClient,
  { text, values }: Statement,
  table: BulkTable,
): AsyncGenerator<ListedItem[]> {
  await client.query('begin isolation level repeatable read, read only');
  // A page may wait for a sort of all items, and until the pages before it are stored.
  await client.query(
    `set local statement_timeout = '10min'; set local idle_in_transaction_session_timeout = '5min'`,
  );
  // The planner has no statistics of new ledger rows, and a nested loop over them for each item would not end.
  await client.query('set local enable_nestloop = off');
  await client.query(`declare bulk_items no scroll cursor for ${text}`, [...values]);
  for (;;) {
    const { rows } = await client.query<Record<string, string | null>>(`fetch ${PAGE_ITEMS} from bulk_items`);
    if (rows.length === 0) break;
    yield rows.map((row) => ({ key: keyOf(table, row) }));
  }
  await client.query('commit');
}
