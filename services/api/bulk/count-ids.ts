import type { z } from 'zod';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { type IdLine, readIdLines } from '../../../shared/bulk/id-file.ts';
import { readItemId } from '../../../shared/bulk/item-ids.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { publicKey } from '../../../shared/domain/public-names.ts';
import { type bulkFileSchema, MAX_BAD_LINES } from './response.ts';

/** The contents of a file of IDs, as in the response to its upload. */
export type IdCount = Pick<z.input<typeof bulkFileSchema>, 'items' | 'ids' | 'bad_lines' | 'header'>;

/**
 * Counts the contents of a file of IDs. Without a table the IDs may be of any resource.
 *
 * @throws IdFileError
 */
export async function countIds(
  chunks: AsyncIterable<Buffer>,
  { catalog, table }: { readonly catalog: Catalog; readonly table: BulkTable | undefined },
): Promise<IdCount> {
  const names = table === undefined ? catalog.resources.flatMap(publicKey) : publicKey(table.resource);
  const badLines: IdCount['bad_lines'] = [];
  let items = 0;
  let bad = 0;
  let header: string | undefined;
  const onHeader = (text: string) => {
    header = text;
  };
  for await (const lines of readIdLines(chunks, { names, onHeader })) {
    items += lines.length;
    for (const line of lines) {
      const fault = line.fault ?? faultOf(line, table);
      if (fault === undefined) continue;
      bad += 1;
      if (bad <= MAX_BAD_LINES) badLines.push({ line: line.line, ...fault });
    }
  }
  return { items, ids: items - bad, bad_lines: badLines, ...(header === undefined ? {} : { header }) };
}

function faultOf({ text }: IdLine, table: BulkTable | undefined) {
  if (table === undefined) return text === '' ? EMPTY : undefined;
  const item = readItemId(text, table.key);
  return 'key' in item ? undefined : { code: 'invalid_id' as const, detail: item.message ?? 'is not an ID' };
}

const EMPTY = { code: 'invalid_id', detail: 'is empty' } as const;
