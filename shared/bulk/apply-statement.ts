import type { ColumnDescription } from '../catalog/describe-table.ts';
import type { FilterNode } from '../domain/bulk-filter.ts';
import { ExactNumber, wholeDigits } from '../domain/exact-json.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import { type BulkTable, comparableType } from './bulk-table.ts';
import { accountSql, type Binder, columnSql, createBinder, equalsSql, filterSql, ROW } from './filter-sql.ts';
import { LEDGER } from './ledger.ts';
import type { BulkOperation } from './operation.ts';
import type { Statement } from './select-items.ts';
import { inputText } from './value-form.ts';

/** The operation on rows; the same for every chunk of a job. */
export interface Application {
  readonly jobId: string;
  readonly table: BulkTable;
  readonly operation: BulkOperation;
  /** Validated parameters of the request; a number that a double would change is an `ExactNumber`. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Live semantics: items that no longer match are skipped. */
  readonly liveFilter: FilterNode | undefined;
  readonly sourceId: string;
}

/** An item with its position in the job. */
export interface NumberedItem {
  readonly seq: number;
  readonly itemId: string;
  readonly key: readonly string[];
  readonly line: number | null;
}

/** How the statement finds the rows to change that it has locked. */
export type RowAccess = 'place' | 'key';

/**
 * One statement that changes the rows of many items and writes their results into the ledger. Items with a ledger row are skipped.
 * Locked rows are left for later, or fail with `isLast`. Without items it changes nothing, and still needs every right and column.
 *
 * - `item`: items without a ledger row. The bounds let the plan read the ledger by its index within the chunk;
 * - `held`: their rows, locked. `skip locked` waits for nobody, so that no chunk can deadlock with another;
 * - `decided`: the result of each. A scalar subquery, because `exists` may be planned as a scan of the whole table;
 * - `recorded`: the inserted ledger rows. If another worker was quicker, its ledger rows violate the primary key, and the whole
 *   statement is undone. `on conflict do nothing` would cost as much as a second index;
 * - `changed`: the rows of the items that succeed.
 *
 * With the access `place` a row is changed where it was locked, for half the cost of a second search by key. That misses a row
 * which another transaction changed after the statement had its snapshot and before it had the lock.
 *
 * Returns one row: `wanted` and `changed`, the numbers of items to change and of rows changed, and `locked`, the
 * positions of those left for later.
 */
export function applyStatement(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  access: RowAccess,
): Statement {
  const { jobId, table } = application;
  const binder = createBinder([
    jobId,
    items.map(({ seq }) => seq),
    items.map(({ itemId }) => itemId),
    items.map(({ line }) => line),
    isLast,
    ...seqBounds(items),
  ]);
  const keys = table.key.map((column, index) => {
    const texts = binder.bind(items.map(({ key }) => key[index] ?? ''));
    return { name: `k${index + 1}`, column, texts, type: comparableType(column) };
  });
  const account = accountSql(table, application.sourceId, binder);
  const from = `${quoteTable(table.resource.table)} ${ROW}`;
  const isRowOf = (alias: string) =>
    `${keys.map(({ name, column }) => `${columnSql(column.name)} = ${alias}.${name}`).join(' and ')} and ${account}`;
  const names = keys.map(({ name }) => name);
  const text = `
with item as materialized (
  select t.seq, t.item_id, t.line, ${keys.map(({ name, type }) => `t.${name}::${type} as ${name}`).join(', ')}
  from unnest($2::int[], $3::text[], $4::int[], ${keys.map(({ texts }) => `${texts}::text[]`).join(', ')})
    as t (seq, item_id, line, ${names.join(', ')})
  where not exists (
    select from ${LEDGER} l where l.job_id = $1 and l.seq between $6 and $7 and l.seq = t.seq)
), held as materialized (
  select i.seq, ${ROW}.ctid as place, ${names.map((name) => `i.${name}`).join(', ')},
    ${skipCodeSql(application, binder)} as skip_code
  from item i join ${from} on ${isRowOf('i')}
  for ${lockOf(application)} of ${ROW} skip locked
), decided as materialized (
  select i.seq, i.item_id, i.line, case
      when h.seq is not null then h.skip_code
      when (select true from ${from} where ${isRowOf('i')} limit 1) then case when $5::boolean then 'conflict' else 'locked' end
      else 'not_found' end as code
  from item i left join held h on h.seq = i.seq
), recorded as (
  insert into ${LEDGER} (job_id, seq, item_id, line, status, code, message)
  select $1, d.seq, d.item_id, d.line,
    case when d.code is null then 'succeeded' when d.code in ('not_found', 'conflict') then 'failed' else 'skipped' end,
    d.code,
    case d.code when 'not_found' then 'There is no such record.'
      when 'conflict' then 'Another transaction kept the record locked for too long.' end
  from decided d where d.code is distinct from 'locked'
), changed as (
  ${changeSql(application, binder, access === 'place' ? `${ROW}.ctid = h.place` : isRowOf('h'))}
)
select (select count(*) from held where skip_code is null)::text as wanted, (select count(*) from changed)::text as changed,
  (select coalesce(json_agg(seq), '[]') from decided where code = 'locked')::text as locked`;
  return { text, values: binder.values };
}

/**
 * The lock that PostgreSQL takes for the change. The stronger lock conflicts with the key-share lock of a foreign key check, so a
 * record would look locked while only its children are inserted.
 */
function lockOf(application: Application): 'update' | 'no key update' {
  const { table, operation } = application;
  if (operation.kind === 'delete' && !operation.isSoft) return 'update';
  const changesKey = changedColumns(application).some((name) => table.uniqueColumns.has(name));
  return changesKey ? 'update' : 'no key update';
}

function changedColumns({ table, operation, params }: Application): string[] {
  if (operation.kind === 'set') return [...Object.keys(operation.set), ...givenParams(operation, params)];
  return table.resource.softDelete === undefined ? [] : [table.resource.softDelete];
}

function givenParams(
  { fromParams }: Extract<BulkOperation, { kind: 'set' }>,
  params: Application['params'],
): string[] {
  return fromParams.filter((name) => Object.hasOwn(params, name));
}

function seqBounds(items: readonly NumberedItem[]): [number, number] {
  if (items.length === 0) return [0, 0];
  const seqs = items.map(({ seq }) => seq);
  return [Math.min(...seqs), Math.max(...seqs)];
}

/** Why a row that is there is left as it is; null when it is to be changed. */
function skipCodeSql({ table, operation, liveFilter }: Application, binder: Binder): string {
  const { softDelete } = table.resource;
  // A record that is soft-deleted is gone as far as the customer sees; deleting it again is no mistake.
  const deletedCode = operation.kind === 'delete' ? 'already_deleted' : 'not_found';
  return `case
    ${softDelete === undefined ? '' : `when ${columnSql(softDelete)} is not null then '${deletedCode}'`}
    ${liveFilter === undefined ? '' : `when not coalesce(${filterSql(liveFilter, table, binder)}, false) then 'no_longer_matches'`}
    when ${equalsSql(operation.skipWhen, table, binder)} then 'already_applied' end`;
}

function changeSql(application: Application, binder: Binder, isRow: string): string {
  const { table, operation } = application;
  const target = `${quoteTable(table.resource.table)} ${ROW}`;
  const which = `held h where h.skip_code is null and ${isRow} returning 1`;
  if (operation.kind === 'delete' && !operation.isSoft) return `delete from ${target} using ${which}`;
  return `update ${target} set ${assignments(application, binder).join(', ')} from ${which}`;
}

function assignments({ table, operation, params }: Application, { bind }: Binder): string[] {
  if (operation.kind === 'delete') {
    const { softDelete } = table.resource;
    if (softDelete === undefined) throw new RangeError(`${table.resource.name} has no soft_delete column`);
    return [`${quoteIdent(softDelete)} = now()`];
  }
  if (operation.kind !== 'set') throw new RangeError('only rows are changed by a statement');
  const given = givenParams(operation, params);
  const values = { ...operation.set, ...Object.fromEntries(given.map((name) => [name, params[name]])) };
  return Object.entries(values).map(([name, value]) => {
    const column = table.column(name);
    if (column === undefined) throw new RangeError(`${table.resource.name} has no column ${name}`);
    return `${quoteIdent(name)} = ${assignedSql(value, column, bind)}`;
  });
}

/** A value as it is assigned: arrays element by element, other structures as JSON, numbers with the digits that they came with. */
export function assignedSql(value: unknown, column: ColumnDescription, bind: Binder['bind']): string {
  if (value === null) return 'null';
  if (value === undefined) throw new RangeError(`no value for column ${column.name}`);
  const type = comparableType(column);
  if (Array.isArray(value) && type.endsWith('[]')) {
    return `${bind(value.map((part) => (part === null ? null : textOf(part, type))))}::text[]::${type}`;
  }
  const isWritten = isJson(column) || (typeof value === 'object' && !(value instanceof ExactNumber));
  const text = isWritten ? JSON.stringify(value) : textOf(value, type);
  return `${bind(text)}::text::${type}`;
}

/** Files and requests have it in base64. */
const BYTEA = 17;

/** What PostgreSQL reads neither a point nor an exponent for. */
const WHOLE_TYPE = /^(smallint|integer|bigint)(\[\])?$/;

function textOf(value: unknown, type: string): string {
  if (type.startsWith('bytea')) return inputText(String(value), BYTEA);
  return value instanceof ExactNumber && WHOLE_TYPE.test(type) ? wholeDigits(value) : String(value);
}

function isJson({ baseTypeOid }: { baseTypeOid: number }): boolean {
  return baseTypeOid === 114 || baseTypeOid === 3802;
}

/** Checks whether items are missing or to be skipped: rows of `seq` and `code`, which is null for an item to work on. */
export function checkStatement(application: Application, items: readonly NumberedItem[]): Statement {
  const { table } = application;
  const binder = createBinder([items.map(({ seq }) => seq)]);
  const keys = table.key.map((column, index) => ({
    name: `k${index + 1}`,
    place: columnSql(column.name),
    type: comparableType(column),
    texts: binder.bind(items.map(({ key }) => key[index] ?? '')),
  }));
  const isRow = keys.map(({ name, place, type }) => `${place} = i.${name}::${type}`).join(' and ');
  const account = accountSql(table, application.sourceId, binder);
  const skipCode = skipCodeSql(application, binder);
  const text = `
select i.seq::text, case when ${columnSql(table.key[0]?.name ?? '')} is null then 'not_found' else ${skipCode} end as code
from unnest($1::int[], ${keys.map(({ texts }) => `${texts}::text[]`).join(', ')})
  as i (seq, ${keys.map(({ name }) => name).join(', ')})
left join ${quoteTable(table.resource.table)} ${ROW} on ${isRow} and ${account}`;
  return { text, values: binder.values };
}
