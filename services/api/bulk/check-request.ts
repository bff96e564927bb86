import pg, { type Pool } from 'pg';
import { assignedSql } from '../../../shared/bulk/apply-statement.ts';
import { createBinder } from '../../../shared/bulk/binder.ts';
import { type BulkTable, loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { typedValues } from '../../../shared/bulk/filter-sql.ts';
import { canBeNamed } from '../../../shared/bulk/item-ids.ts';
import { type BulkOperation, findOperation } from '../../../shared/bulk/operation.ts';
import { selectItems } from '../../../shared/bulk/select-items.ts';
import type { ColumnDescription } from '../../../shared/catalog/describe-table.ts';
import {
  FilterError,
  type FilterInput,
  type FilterNode,
  matchesEverything,
  parseFilter,
} from '../../../shared/domain/bulk-filter.ts';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { ExactNumber } from '../../../shared/domain/exact-json.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { invalid } from '../http/validate.ts';
import type { BulkBody } from '../requests/bulk-request.ts';

/** A request whose every part is known to fit the catalog and the table. */
export interface CheckedRequest {
  readonly resource: Resource;
  readonly operation: BulkOperation;
  readonly table: BulkTable;
  readonly filter: FilterNode | undefined;
}

/** The source refuses a value or a comparison: data exceptions, broken constraints, and what a type has no operator for. */
const REFUSED = /^(22|23|42)/;

/** @throws AppError `invalid` naming what does not fit */
export async function checkBulkRequest(
  body: BulkBody,
  catalog: Catalog,
  source: Pool,
  sourceId: string,
): Promise<CheckedRequest> {
  const resource = findResource(catalog, body.resource);
  if (resource === undefined) throw invalid([{ pointer: '/resource', detail: 'is not a resource' }]);
  const operation = findOperation(resource, body.operation);
  if (operation === undefined) {
    const names = Object.keys(resource.operations).join(', ') || 'none';
    const detail = `is not an operation of ${resource.name}; it has: ${names}`;
    throw invalid([{ pointer: '/operation', detail }]);
  }
  const table = await loadBulkTable(source, resource);
  if (body.filter === undefined && !canBeNamed(table.key)) {
    const detail = `the key of ${resource.name} can not be named by IDs; choose the items by filter`;
    throw invalid([{ pointer: body.ids === undefined ? '/file_id' : '/ids', detail }]);
  }
  await checkParams(body.params, operation, table, source);
  const filter = body.filter === undefined ? undefined : readFilter(body.filter, body.all);
  if (filter !== undefined) await checkFilter(filter, table, source, sourceId);
  return { resource, operation, table, filter };
}

function readFilter(input: FilterInput, isAllMeant: boolean): FilterNode {
  const filter = parsedFilter(input);
  if (matchesEverything(filter) && !isAllMeant) {
    const detail = 'matches everything; if that is what you mean, send all: true with it';
    throw invalid([{ pointer: '/filter', detail }]);
  }
  return filter;
}

function parsedFilter(input: FilterInput): FilterNode {
  try {
    return parseFilter(input);
  } catch (error) {
    throw toInvalid(error);
  }
}

async function checkFilter(
  filter: FilterNode,
  table: BulkTable,
  source: Pool,
  sourceId: string,
): Promise<void> {
  let statement: ReturnType<typeof selectItems>;
  try {
    statement = selectItems(table, filter, sourceId);
  } catch (error) {
    throw toInvalid(error);
  }
  const refused: FieldError[] = [];
  const values = typedValues(filter, table);
  if (!(await doCast(source, values))) {
    for (const value of values) {
      if (!(await doCast(source, [value]))) {
        refused.push({ pointer: value.pointer, detail: `is not a ${value.type}` });
      }
    }
  }
  if (refused.length > 0) throw invalid(refused);
  try {
    await source.query(`explain ${statement.text}`, [...statement.values]);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw invalid([{ pointer: '/filter', detail: 'compares a field in a way that its type does not have' }]);
  }
}

async function doCast(source: Pool, values: readonly { text: string; type: string }[]): Promise<boolean> {
  if (values.length === 0) return true;
  const { bind, values: bound } = createBinder();
  const casts = values.map(({ text, type }) => `${bind(text)}::text::${type}`);
  return isAccepted(source, `select num_nulls(${casts.join(', ')})`, bound);
}

async function checkParams(
  params: Readonly<Record<string, unknown>>,
  operation: BulkOperation,
  table: BulkTable,
  source: Pool,
): Promise<void> {
  // A handler knows what it takes; the source need not.
  if (operation.kind === 'http') return;
  const allowed = operation.kind === 'set' ? operation.fromParams : [];
  const errors: FieldError[] = [];
  for (const [name, value] of Object.entries(params)) {
    const pointer = `/params/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const column = allowed.includes(name) ? table.column(name) : undefined;
    if (column === undefined) {
      const list = allowed.length === 0 ? 'this operation takes none' : `it takes: ${allowed.join(', ')}`;
      errors.push({ pointer, detail: `is not a parameter of the operation; ${list}` });
      continue;
    }
    const detail = await faultOf(value, column, source);
    if (detail !== undefined) errors.push({ pointer, detail });
  }
  if (allowed.length > 0 && Object.keys(params).length === 0) {
    errors.push({ pointer: '/params', detail: `must give at least one of ${allowed.join(', ')}` });
  }
  if (errors.length > 0) throw invalid(errors);
}

/** OIDs of the text types whose length is limited by their declaration, and what PostgreSQL adds to the limit. */
const LIMITED_TEXTS: ReadonlySet<number> = new Set([1042, 1043]);
const LIMIT_OFFSET = 4;

async function faultOf(value: unknown, column: ColumnDescription, source: Pool): Promise<string | undefined> {
  if (value === null) return column.isNotNull ? 'must not be null' : undefined;
  if (JSON.stringify(value).includes('\\u0000')) return 'must not contain a NUL character';
  const limit = column.typeModifier - LIMIT_OFFSET;
  if (LIMITED_TEXTS.has(column.typeOid) && limit > 0 && [...String(value)].length > limit) {
    return `must have at most ${limit} characters`;
  }
  const isStructure =
    typeof value === 'object' && !(value instanceof ExactNumber) && ![114, 3802].includes(column.baseTypeOid);
  if (isStructure && !(Array.isArray(value) && column.typeName.endsWith('[]'))) {
    return `is not a ${column.typeName}`;
  }
  const { bind, values } = createBinder();
  const cast = `${assignedSql(value, column, bind)}::${column.typeName}`;
  return (await isAccepted(source, `select (${cast}) is null`, values))
    ? undefined
    : `is not a ${column.typeName}`;
}

async function isAccepted(source: Pool, text: string, values: readonly unknown[]): Promise<boolean> {
  try {
    await source.query(text, [...values]);
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && REFUSED.test(error.code ?? '');
}

function toInvalid(error: unknown): unknown {
  if (!(error instanceof FilterError)) return error;
  return invalid([{ pointer: error.pointer, detail: error.message }]);
}
