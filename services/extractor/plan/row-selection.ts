import { ownedSql } from '../../../shared/catalog/account-sql.ts';
import { whereSql } from '../../../shared/catalog/where-sql.ts';
import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import { UnreadableRequestError } from '../../../shared/control/stored-request.ts';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import type { ExportRequest, RowRequest } from '../../../shared/domain/export-request.ts';
import { columnOfName } from '../../../shared/domain/public-names.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type Reference, type ReferenceGraph, referenceGraph } from './references.ts';

/** Which rows of a resource an export holds. `accountSourceId` null: rows of all accounts. */
export interface RowSelection {
  readonly resource: Resource;
  readonly request: RowRequest;
  readonly accountSourceId: string | null;
  /** Foreign keys between the exported tables. Empty without `include_related`. */
  readonly references: readonly Reference[];
}

/** Alias of the selected table in every query. */
export const SELECTED = 't';

export const columnOf = (alias: string, name: string): string => `${alias}.${quoteIdent(name)}`;

/**
 * The conditions that select a resource's rows, to be joined by `and`. The values are the parameters `$1`, `$2`, …
 *
 * Without references, the account, soft deletion and the date range select a row. With references the export is closed:
 * every foreign key resolves inside it.
 *
 *   - The date range limits a related resource through its foreign keys: line items of the invoices in the range. If no
 *     referenced resource is limited, all of its rows are exported.
 *   - A row that a selected row refers to is selected too, even if it is soft-deleted or outside the range.
 *   - Of tables that refer to each other in a cycle, or to themselves, all rows are exported.
 *
 * The account and the resource's `where` always apply. So a reference to another account's row, or to a row that `where`
 * excludes, does not resolve.
 *
 * @param values parameters that the statement already has
 */
export function selectionConditions(
  selection: RowSelection,
  values: string[] = [],
): { conditions: string[]; values: string[] } {
  const select = createSelect(selection, (value) => `$${values.push(value)}`);
  return { conditions: select.selected(selection.resource, SELECTED), values };
}

function createSelect(
  { request, accountSourceId, references }: RowSelection,
  addValue: (value: string) => string,
) {
  const graph = referenceGraph(references);
  let aliasCount = 0;
  const newAlias = () => `${SELECTED}${++aliasCount}`;

  const ofAccount = (resource: Resource, alias: string): string[] => [
    ...(accountSourceId === null
      ? []
      : [
          ownedSql(
            resource,
            (name) => columnOf(alias, name),
            (accountColumn) => `${accountColumn} = ${addValue(accountSourceId)}`,
          ),
        ]),
    ...whereSql(resource, (name) => columnOf(alias, name), addValue),
  ];

  const notDeleted = ({ softDelete }: Resource, alias: string): string[] =>
    request.include_deleted || softDelete === undefined ? [] : [`${columnOf(alias, softDelete)} is null`];

  const exists = (resource: Resource, inner: string, conditions: readonly string[]): string =>
    `exists (select from ${quoteTable(resource.table)} ${inner} where ${conditions.join(' and ')})`;

  const inRange = (resource: Resource, alias: string): string[] => {
    if (request.date_range === null) return [];
    if (request.resources.includes(resource.name)) return ownRange(resource, alias);
    return graph.from(resource).flatMap((reference) => {
      if (!isCut(reference.to, graph)) return [];
      const inner = newAlias();
      const isNull = reference.columns.map(({ from }) => `${columnOf(alias, from)} is null`);
      const conditions = [...joined(reference, alias, inner), ...inRange(reference.to, inner)];
      return [`(${isNull.join(' or ')} or ${exists(reference.to, inner, conditions)})`];
    });
  };

  /** Whether the date range excludes rows of a resource. */
  const isCut = (resource: Resource, { isWhole, from }: ReferenceGraph): boolean =>
    !isWhole(resource) &&
    (request.resources.includes(resource.name)
      ? rangeField(resource, request) !== undefined
      : from(resource).some(({ to }) => isCut(to, graph)));

  const ownRange = (resource: Resource, alias: string): string[] => {
    const field = rangeField(resource, request);
    if (field === undefined || request.date_range === null) return [];
    const { from, to } = request.date_range;
    const column = columnOf(alias, field);
    // PostgreSQL compares the column with a timestamptz, in UTC, so a date counts as its midnight. Compared as dates, `from`
    // would include a day that began before it, and `to` would exclude one.
    return [`${column} >= ${addValue(from)}::timestamptz`, `${column} < ${addValue(to)}::timestamptz`];
  };

  const selected = (resource: Resource, alias: string): string[] => {
    const account = ofAccount(resource, alias);
    if (graph.isWhole(resource)) return account;
    const own = [...notDeleted(resource, alias), ...inRange(resource, alias)];
    if (own.length === 0) return account;
    const referred = graph.to(resource).map((reference) => {
      const inner = newAlias();
      const conditions = [...joined(reference, inner, alias), ...selected(reference.from, inner)];
      return exists(reference.from, inner, conditions);
    });
    if (referred.length === 0) return [...account, ...own];
    return [...account, `(${[own.join(' and '), ...referred].join(' or ')})`];
  };

  return { selected };
}

function joined({ columns }: Reference, fromAlias: string, toAlias: string): string[] {
  return columns.map(({ from, to }) => `${columnOf(fromAlias, from)} = ${columnOf(toAlias, to)}`);
}

/**
 * The column that the date range is on.
 *
 * @throws ExportFailedError when the resource no longer has the field
 */
export function rangeField(resource: Resource, { date_range: asked }: RowRequest): string | undefined {
  if (asked === null) return undefined;
  if (asked.field === null) return resource.range;
  const column = columnOfName(resource, asked.field);
  if (column !== undefined) return column;
  throw new ExportFailedError(
    'invalid_request',
    `${resource.name} no longer has the field ${asked.field} of the date range: create an export with another one.`,
  );
}

/** @throws ExportFailedError when this version can't read the request */
export function readRequest(stored: unknown): ExportRequest {
  try {
    return parseExportRequest(stored);
  } catch (cause) {
    if (!(cause instanceof UnreadableRequestError)) throw cause;
    throw new ExportFailedError('invalid_request', 'This version cannot read the stored request.', { cause });
  }
}

/** @throws ExportFailedError when the catalog no longer has the resource */
export function resourceOf(catalog: Catalog, name: string): Resource {
  const resource = findResource(catalog, name);
  if (resource === undefined) {
    throw new ExportFailedError(
      'invalid_request',
      `The resource ${name} is not in the catalog: restore it, or create an export without it.`,
    );
  }
  return resource;
}

export interface SqlQuery {
  readonly text: string;
  /** Texts or arrays of texts. */
  readonly values: readonly (string | readonly string[])[];
}

/** A range of keys: `lowerKey` exclusive, `upperKey` inclusive. Null: unbounded. */
export interface KeyBounds {
  readonly lowerKey: readonly string[] | null;
  readonly upperKey: readonly string[] | null;
}

const UNBOUNDED: KeyBounds = { lowerKey: null, upperKey: null };

/** Selects the keys of the selected rows within the bounds in key order, to count them and cut them into chunks. */
export function keysQuery(selection: RowSelection, bounds: KeyBounds = UNBOUNDED): SqlQuery {
  const { key } = selection.resource;
  const { conditions, values } = selectionConditions(selection);
  conditions.push(...boundConditions(key, bounds, (text) => `$${values.push(text)}`));
  return { text: query(selection, list(key), conditions), values };
}

/** Counts the rows of several resources, each up to its limit. The columns are `n0`, `n1`, … */
export function countsQuery(
  counted: readonly { readonly selection: RowSelection; readonly limit: number }[],
): SqlQuery {
  const values: string[] = [];
  const columns = counted.map(({ selection, limit }, index) => {
    const { conditions } = selectionConditions(selection, values);
    const rows = `select from ${quoteTable(selection.resource.table)} ${SELECTED}${where(conditions)} limit ${limit}`;
    return `(select count(*) from (${rows}) c)::text as n${index}`;
  });
  return { text: `select ${columns.join(', ')}`, values };
}

/** Counts the rows of one chunk. The column is `n`. */
export function chunkCountQuery(selection: RowSelection, bounds: KeyBounds): SqlQuery {
  const { conditions, values } = selectionConditions(selection);
  conditions.push(...boundConditions(selection.resource.key, bounds, (text) => `$${values.push(text)}`));
  const { table } = selection.resource;
  return {
    text: `select count(*)::text as n from ${quoteTable(table)} ${SELECTED}${where(conditions)}`,
    values,
  };
}

/** Options of a chunk's query. */
export interface RowsQueryOptions {
  /** Casts after the bounds: a parameter compared with a composite type needs its type, such as `::public.point`. */
  readonly keyCasts?: readonly string[];
  /** A last column, in SQL. */
  readonly lastColumn?: string;
}

/** Selects the rows of one chunk in key order, with the columns in the given order. */
export function rowsQuery(
  selection: RowSelection,
  columns: readonly string[],
  bounds: KeyBounds,
  { keyCasts = [], lastColumn }: RowsQueryOptions = {},
): SqlQuery {
  const { conditions, values } = selectionConditions(selection);
  const addValue = (text: string, at: number) => `$${values.push(text)}${keyCasts[at] ?? ''}`;
  conditions.push(...boundConditions(selection.resource.key, bounds, addValue));
  const selected = lastColumn === undefined ? list(columns) : `${list(columns)}, ${lastColumn}`;
  return { text: query(selection, selected, conditions), values };
}

/** The conditions for a key within the bounds. `addValue` takes a value and its index in the key, and returns `$3`. */
export function boundConditions(
  key: readonly string[],
  { lowerKey, upperKey }: KeyBounds,
  addValue: (text: string, at: number) => string,
): string[] {
  // Parameters get the types and collations of the key columns, so the bounds compare as the cursor's order does.
  const compare = (operator: '>' | '<=', bound: readonly string[] | null) =>
    bound === null
      ? []
      : [`(${list(key)}) ${operator} (${bound.map((text, at) => addValue(text, at)).join(', ')})`];
  return [...compare('>', lowerKey), ...compare('<=', upperKey)];
}

function query({ resource }: RowSelection, selected: string, conditions: readonly string[]): string {
  return (
    `select ${selected} from ${quoteTable(resource.table)} ${SELECTED}${where(conditions)} ` +
    `order by ${list(resource.key)}`
  );
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
}

function list(columns: readonly string[]): string {
  return columns.map((column) => columnOf(SELECTED, column)).join(', ');
}
