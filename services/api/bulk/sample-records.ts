import type { Pool } from 'pg';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { selectRecords } from '../../../shared/bulk/select-items.ts';
import { fieldsOf } from '../../../shared/catalog/describe-table.ts';
import { showItemId } from '../../../shared/domain/bulk.ts';
import type { FilterNode } from '../../../shared/domain/bulk-filter.ts';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { publicKey } from '../../../shared/domain/public-names.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { createRowJson, toWireTexts } from '../../../shared/values/json-text.ts';
import { createPublicShape } from '../../../shared/values/public-shape.ts';

/** An item as an estimate shows it. Numbers keep their digits. */
export interface SampleItem {
  readonly item_id: string;
  readonly record?: unknown;
}

/** Limit of a shown value: a compressed value may be much longer than it is stored. */
const MAX_SHOWN_CHARACTERS = 2_000;

/** Values as PostgreSQL prints them, which is what files are made from. */
const AS_TEXT = { getTypeParser: () => (text: string) => text };

/**
 * The first records that match a filter, in the order of a job, in the form of files and events, with long values cut.
 */
export async function sampleRecords(
  source: Pool,
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
  limit: number,
): Promise<SampleItem[]> {
  const types = await loadTypes(
    source,
    table.visibleColumns.map(({ typeOid }) => typeOid),
  );
  const { text, values } = selectRecords(table, filter, sourceId, limit);
  const { rows } = await source.query<(string | null)[]>({
    text,
    values: [...values],
    rowMode: 'array',
    types: AS_TEXT,
  });
  const columns = table.visibleColumns.map(({ name, typeOid, typeModifier }) => ({
    name,
    type: types.valueType(typeOid, typeModifier),
    isKey: table.resource.key.includes(name),
  }));
  const rowType = { resource: table.resource.name, columns, ...fieldsOf(table.resource) };
  const shape = createPublicShape(rowType);
  const { toJson } = createRowJson(shape.rowType);
  return rows.map((row) => {
    const key = row.slice(0, table.key.length).map(String);
    const large = row.slice(key.length, key.length + columns.length);
    const texts = row.slice(key.length + columns.length);
    const isLong = (index: number) =>
      large[index] === 't' || (texts[index]?.length ?? 0) > MAX_SHOWN_CHARACTERS;
    const omit = new Set(shape.namesOf(columns.flatMap(({ name }, index) => (isLong(index) ? name : []))));
    const shown = texts.map((value, index) => (isLong(index) ? null : value));
    const record = shape.apply(toWireTexts(rowType, shown));
    return { item_id: showItemId(key), record: parseExactJson(toJson(record, omit)) };
  });
}

/** Finds the records of these keys. */
export function filterOfKeys({ resource }: BulkTable, keys: readonly (readonly string[])[]): FilterNode {
  const names = publicKey(resource);
  const nodes = keys.map(
    (parts): FilterNode => ({
      kind: 'group',
      by: 'and',
      nodes: names.map((name, index) => ({
        kind: 'compare',
        column: name,
        by: 'eq',
        value: { text: parts[index] ?? '', kind: 'text', pointer: '' },
        pointer: '',
      })),
    }),
  );
  return { kind: 'group', by: 'or', nodes };
}
