import type { Client } from 'pg';
import { membersOf } from '../../../schemas/clients/typescript/src/raw-json.ts';
import { ownedSql } from '../../../shared/catalog/account-sql.ts';
import { whereSql } from '../../../shared/catalog/where-sql.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { publicKey } from '../../../shared/domain/public-names.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { createRowJson, toWireTexts } from '../../../shared/values/json-text.ts';
import { createPublicShape } from '../../../shared/values/public-shape.ts';

export interface ComparedRecord {
  /** Members in column order; those of unknown columns are left out. */
  readonly json: string;
  /** Columns whose value no subscriber can know, because a large value that did not change is not sent again. */
  readonly unknown: readonly string[];
}

/** A subscriber's records, to be compared with the source. Keys are the texts that `keyOf` makes. */
export interface ComparedRecords {
  /** The record of this key, which counts as met from now on. */
  take(resource: string, key: string): ComparedRecord | undefined;
  /** The records that were not taken. */
  rest(): Iterable<{ readonly resource: string; readonly key: string }>;
}

/** One record in which subscriber and source do not agree. */
export interface Difference {
  readonly kind: 'missing' | 'extra' | 'differing';
  readonly resource: string;
  /** A JSON object of the key columns. */
  readonly key: string;
  /** Of a differing record: the columns, with the JSON texts of both sides; undefined where a side has no such column. */
  readonly columns: readonly {
    readonly name: string;
    readonly source: string | undefined;
    readonly replica: string | undefined;
  }[];
}

export interface RowComparison {
  /** A session in a transaction under the snapshot that is compared with; it reads raw texts. */
  readonly source: Client;
  readonly resource: Resource;
  readonly rowType: RowType;
  readonly accountSourceId: string;
  readonly records: ComparedRecords;
  /** Brings the source's rows and keys to the form that the records have; by default they are the same text. */
  readonly form?: (json: string) => string;
  readonly onDifference: (difference: Difference) => void;
  /** Called after each batch, with the number of its rows; it may take its time. */
  readonly onBatch?: (rows: number) => Promise<void> | void;
}

const BATCH_ROWS = 1_000;
const CURSOR = 'tandem_compare';

/**
 * Compares the account's living rows of one resource with the records, row by row as the source gives them: not sorted, as
 * that could cost the source more than the reading does. A row is printed by the serializer of files and events, so equal
 * records are equal texts.
 *
 * @returns the number of rows in the source
 */
export async function compareRows(comparison: RowComparison): Promise<number> {
  const { source, resource, rowType, records, form = (json) => json, onDifference, onBatch } = comparison;
  const shape = createPublicShape(rowType);
  const { toJson } = createRowJson(shape.rowType);
  const key = publicKey(resource);
  const notKey = new Set(shape.rowType.columns.map(({ name }) => name).filter((name) => !key.includes(name)));
  const { text, values } = selectLivingRows(resource, rowType, comparison.accountSourceId);
  await source.query(`declare ${CURSOR} no scroll cursor without hold for ${text}`, values);
  let rowCount = 0;
  for (;;) {
    const { rows } = await source.query<(string | null)[]>({
      text: `fetch ${BATCH_ROWS} from ${CURSOR}`,
      rowMode: 'array',
    });
    for (const row of rows) {
      const texts = shape.apply(toWireTexts(rowType, row));
      const recordKey = form(keyOf(resource, membersOf(toJson(texts, notKey))));
      const json = form(toJson(texts));
      const record = records.take(resource.name, recordKey);
      const about = { resource: resource.name, key: recordKey };
      if (record === undefined) onDifference({ ...about, kind: 'missing', columns: [] });
      else if (record.json !== json) {
        const columns = differingColumns(json, record);
        if (columns.length > 0) onDifference({ ...about, kind: 'differing', columns });
      }
    }
    rowCount += rows.length;
    await onBatch?.(rows.length);
    if (rows.length < BATCH_ROWS) break;
  }
  await source.query(`close ${CURSOR}`);
  return rowCount;
}

/** What identifies a record: its key fields as a JSON object, in key order. @throws SyntaxError when one is not there */
export function keyOf(resource: Resource, members: ReadonlyMap<string, string>): string {
  const parts = publicKey(resource).map((name) => {
    const value = members.get(name);
    if (value === undefined) throw new SyntaxError(`the key column ${name} is not there`);
    return `${JSON.stringify(name)}:${value}`;
  });
  return `{${parts.join(',')}}`;
}

function selectLivingRows(resource: Resource, { columns }: RowType, accountSourceId: string) {
  const { table, softDelete } = resource;
  const values: string[] = [];
  const own = (column: string) => `t.${quoteIdent(column)}`;
  const conditions = [
    ownedSql(resource, own, (accountColumn) => `${accountColumn} = $${values.push(accountSourceId)}`),
    ...(softDelete === undefined ? [] : [`${own(softDelete)} is null`]),
    ...whereSql(resource, own, (value) => `$${values.push(value)}`),
  ];
  const names = columns.map(({ name }) => own(name)).join(', ');
  return { text: `select ${names} from ${quoteTable(table)} t where ${conditions.join(' and ')}`, values };
}

function differingColumns(sourceJson: string, { json, unknown }: ComparedRecord): Difference['columns'] {
  const source = membersOf(sourceJson);
  const replica = membersOf(json);
  return [...new Set([...source.keys(), ...replica.keys()])]
    .filter((name) => !unknown.includes(name) && source.get(name) !== replica.get(name))
    .map((name) => ({ name, source: source.get(name), replica: replica.get(name) }));
}
