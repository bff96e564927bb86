import type { PoolClient } from 'pg';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { badItem, duplicateOf, readItemId } from '../../../shared/bulk/item-ids.ts';
import { readIdLines } from '../../../shared/bulk/read-id-lines.ts';
import { type ListedItem, showItemId } from '../../../shared/domain/bulk.ts';

const PAGE_LINES = 10_000;

/**
 * The items of an ID file in its order, in pages. To find duplicates among millions of IDs takes a sort, which the control store
 * does on its disk, so that memory here stays flat.
 */
export async function* listFile(
  client: PoolClient,
  openFile: () => Promise<AsyncIterable<Buffer>>,
  table: BulkTable,
): AsyncGenerator<ListedItem[]> {
  await client.query('begin');
  await client.query(
    `set local statement_timeout = '10min'; set local idle_in_transaction_session_timeout = '5min'`,
  );
  await client.query(
    'create temporary table bulk_lines (line integer, id text, item text not null) on commit drop',
  );
  let page: { line: number; id: string | null; item: string }[] = [];
  const flush = async () => {
    await client.query('insert into bulk_lines select * from unnest($1::int[], $2::text[], $3::text[])', [
      page.map(({ line }) => line),
      page.map(({ id }) => id),
      page.map(({ item }) => item),
    ]);
    page = [];
  };
  const names = table.key.map(({ name }) => name);
  // Opened once everything before it stands: only reading closes it.
  for await (const lines of readIdLines(await openFile(), { names })) {
    for (const { line, text, fault } of lines) {
      const item =
        fault === undefined ? readItemId(text, table.key, line) : badItem(text, fault.detail, line);
      page.push({ line, id: 'key' in item ? showItemId(item.key) : null, item: JSON.stringify(item) });
      if (page.length >= PAGE_LINES) await flush();
    }
  }
  if (page.length > 0) await flush();
  await client.query(
    `declare bulk_items no scroll cursor for
     select item, id is not null and row_number() over (partition by id order by line) > 1 as is_repeated
     from bulk_lines order by line`,
  );
  for (;;) {
    const { rows } = await client.query<{ item: string; is_repeated: boolean }>(
      `fetch ${PAGE_LINES} from bulk_items`,
    );
    if (rows.length === 0) break;
    yield rows.map(({ item: text, is_repeated: isRepeated }) => {
      const item = JSON.parse(text) as ListedItem;
      return isRepeated && 'key' in item ? duplicateOf(item) : item;
    });
  }
  await client.query('commit');
}
