import { ownedSql } from '../catalog/account-sql.ts';
import type { ColumnDescription } from '../catalog/describe-table.ts';
import { whereSql } from '../catalog/where-sql.ts';
import { type Comparison, FilterError, type FilterNode, type FilterValue } from '../domain/bulk-filter.ts';
import { toColumnFilter } from '../domain/public-names.ts';
import { quoteIdent, quoteLiteral } from '../postgres/quote.ts';
import { type BulkTable, comparableType } from './bulk-table.ts';
import type { CatalogValue } from './operation.ts';
import { inputText } from './value-form.ts';

/** The table is called this in every statement of a bulk operation. */
export const ROW = 'r';

const OPERATORS: Record<Comparison, string> = { eq: '=', ne: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' };

/** OIDs of text, varchar and bpchar, whose beginnings can be compared. */
const TEXT_TYPES: ReadonlySet<number> = new Set([25, 1043, 1042]);

type Condition = Exclude<FilterNode, { kind: 'group' }>;

/** @throws FilterError for a column that is not there or is hidden */
function columnOf({ column: name, pointer }: Condition, table: BulkTable): ColumnDescription {
  const found = table.visibleColumn(name);
  if (found !== undefined) return found;
  const field = pointer.slice(0, pointer.lastIndexOf('/'));
  throw new FilterError(field, `${table.resource.name} has no field ${JSON.stringify(name)}`);
}

/** What a condition compares: SQL of the value, its type to cast to, and the OID of that type. */
interface Operand {
  readonly place: string;
  readonly type: string;
  readonly typeOid: number;
}

const TEXT_OID = 25;
const JSONB_OID = 3802;

/** @throws FilterError for a column that is not there or is hidden */
function operandOf(node: Condition, table: BulkTable): Operand {
  const column = columnOf(node, table);
  if (node.member === undefined) {
    return { place: columnSql(node.column), type: comparableType(column), typeOid: column.baseTypeOid };
  }
  const { path, type } = node.member;
  const steps = path.map(quoteLiteral);
  const outer = [columnSql(node.column), ...steps.slice(0, -1)].join(' -> ');
  const last = steps.at(-1);
  // As in files: a member that is not there is null, and so is a JSON null. No step leads into an array.
  return type === 'text'
    ? { place: `(${outer} ->> ${last})`, type: 'text', typeOid: TEXT_OID }
    : { place: `nullif((${outer} -> ${last})::jsonb, 'null')`, type: 'jsonb', typeOid: JSONB_OID };
}

/** A filter of a request, which is on fields. @throws FilterError for a field that is not there or is hidden */
export function filterSql(node: FilterNode, table: BulkTable, { bind }: Binder): string {
  const sql = (part: FilterNode): string => {
    if (part.kind === 'group') {
      if (part.nodes.length === 0) return 'true';
      return `(${part.nodes.map(sql).join(` ${part.by} `)})`;
    }
    const { place, type, typeOid } = operandOf(part, table);
    switch (part.kind) {
      case 'compare': {
        const value = `${bind(inputText(part.value.text, typeOid))}::text::${type}`;
        // A record without a value is different from any value; SQL's own <> would leave it out.
        if (part.by === 'ne') return `${place} is distinct from ${value}`;
        const holds = `${place} ${OPERATORS[part.by]} ${value}`;
        // PostgreSQL puts values of different JSON types in an order, which says nothing of a member that may be any of them.
        const isOfOneType = `jsonb_typeof(${place}) = jsonb_typeof(${value})`;
        return part.member?.type === 'json' && part.by !== 'eq' ? `(${isOfOneType} and ${holds})` : holds;
      }
      case 'in':
        if (type.endsWith('[]')) throw new FilterError(part.pointer, 'cannot be used on list fields');
        return `${place} = any (${bind(part.values.map(({ text }) => inputText(text, typeOid)))}::text[]::${type}[])`;
      case 'is_null':
        return `${place} is ${part.isNull ? '' : 'not '}null`;
      case 'prefix': {
        if (!TEXT_TYPES.has(typeOid)) {
          throw new FilterError(part.pointer, 'is for text fields only');
        }
        // PostgreSQL has no beginnings under a collation by which texts of different lengths are equal: those as written then.
        const asWritten = columnOf(part, table).equality === 'collation' ? ' collate "C"' : '';
        return `starts_with(${place}::text${asWritten}, ${bind(part.prefix)}::text)`;
      }
    }
  };
  return sql(onColumns(node, table));
}

function onColumns(node: FilterNode, table: BulkTable): FilterNode {
  return toColumnFilter(node, table.resource, (column, text) => {
    const form = VALUE_FORMS.get(table.column(column)?.baseTypeOid ?? 0);
    return form === undefined ? 'unknown' : form.test(text);
  });
}

/** By the OID of the type, where the form tells whether a text can be a value: not of an enum, whose labels PostgreSQL knows. */
const VALUE_FORMS: ReadonlyMap<number, RegExp> = new Map([
  ...[...TEXT_TYPES].map((oid) => [oid, /^/] as const),
  ...[20, 21, 23].map((oid) => [oid, /^-?\d{1,19}$/] as const),
  [1700, /^-?\d+(\.\d+)?$/],
  [16, /^(true|false)$/],
]);

/** Columns that equal the catalog's values; `false` when it names none. */
export function equalsSql(
  values: Readonly<Record<string, CatalogValue>>,
  table: BulkTable,
  { bind }: Binder,
): string {
  const parts = Object.entries(values).map(([name, value]) => {
    const place = columnSql(name);
    if (value === null) return `${place} is null`;
    const found = table.column(name);
    if (found === undefined) throw new RangeError(`${table.resource.name} has no column ${name}`);
    return `${place} is not distinct from ${bind(String(value))}::text::${comparableType(found)}`;
  });
  return parts.length === 0 ? 'false' : `(${parts.join(' and ')})`;
}

/** The row is the account's, and one that leaves: nobody changes a record that he can't see. */
export function accountSql({ account, resource }: BulkTable, sourceId: string, { bind }: Binder): string {
  // Everybody's records are changed by nobody.
  if (account === undefined) return 'false';
  const isAccount = (column: string) => `${column} = ${bind(sourceId)}::text::${comparableType(account)}`;
  return [ownedSql(resource, columnSql, isAccount), ...whereSql(resource, columnSql, bind)].join(' and ');
}

export function columnSql(name: string): string {
  return `${ROW}.${quoteIdent(name)}`;
}

/** A value of a filter with the type that it must have. */
export interface TypedValue extends FilterValue {
  readonly type: string;
  readonly typeOid: number;
}

/** Every value of a filter with its type, for finding out which one does not fit. @throws FilterError as `filterSql` does */
export function typedValues(node: FilterNode, table: BulkTable): TypedValue[] {
  return columnValues(onColumns(node, table), table);
}

function columnValues(node: FilterNode, table: BulkTable): TypedValue[] {
  if (node.kind === 'group') return node.nodes.flatMap((part) => columnValues(part, table));
  const { type, typeOid } = operandOf(node, table);
  if (node.kind === 'is_null' || node.kind === 'prefix') return [];
  const values = node.kind === 'in' ? node.values : [node.value];
  return values.map((value) => ({ ...value, type, typeOid }));
}

/** Collects a statement's values; `bind` returns the placeholder. No value ever becomes SQL. */
export interface Binder {
  readonly values: readonly unknown[];
  bind(value: unknown): string;
}

export function createBinder(first: readonly unknown[] = []): Binder {
  const values = [...first];
  return {
    values,
    bind(value) {
      values.push(value);
      return `$${values.length}`;
    },
  };
}
