import type { Pool } from 'pg';
import { assignedSql } from '../../../shared/bulk/apply-statement.ts';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { createBinder } from '../../../shared/bulk/filter-sql.ts';
import type { BulkOperation } from '../../../shared/bulk/operation.ts';
import { paramsOf, toColumnValue } from '../../../shared/bulk/public-params.ts';
import { elementTypeOf, formFault, type JsonKind } from '../../../shared/bulk/value-form.ts';
import type { ColumnDescription } from '../../../shared/catalog/describe-table.ts';
import { ExactNumber, wholeDigits } from '../../../shared/domain/exact-json.ts';
import { showValues } from '../../../shared/domain/public-names.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { invalid, toPointer } from '../http/validate.ts';
import { isAccepted } from './source-errors.ts';

/**
 * @throws AppError `invalid` with each parameter that the operation does not accept, or whose column can't hold the
 * value
 */
export async function checkParams(
  params: Readonly<Record<string, unknown>>,
  operation: BulkOperation,
  table: BulkTable,
  source: Pool,
): Promise<void> {
  // The handler checks its parameters itself.
  if (operation.kind === 'http') return;
  const known = paramsOf(table.resource, operation);
  const allowed = known.map(({ name }) => name);
  const errors: FieldError[] = [];
  for (const [name, value] of Object.entries(params)) {
    const pointer = toPointer(['params', name]);
    const param = known.find((each) => each.name === name);
    const column = param && table.column(param.column);
    if (param === undefined || column === undefined) {
      const list =
        allowed.length === 0 ? 'this operation takes no parameters' : `its parameters: ${allowed.join(', ')}`;
      errors.push({ pointer, detail: `is not a parameter of the operation; ${list}` });
      continue;
    }
    const columnValue = toColumnValue(param.named, value);
    const detail =
      param.named !== undefined && columnValue === undefined
        ? `must be one of ${showValues(param.named)}`
        : await faultOf(columnValue, column, source);
    if (detail !== undefined) errors.push({ pointer, detail });
  }
  if (allowed.length > 0 && Object.keys(params).length === 0) {
    errors.push({ pointer: '/params', detail: `must give at least one of ${allowed.join(', ')}` });
  }
  if (errors.length > 0) throw invalid(errors);
}

/** OIDs of text types with a declared length, and what PostgreSQL adds to that length. */
const LIMITED_TEXTS: ReadonlySet<number> = new Set([1042, 1043]);
const LIMIT_OFFSET = 4;

const JSON_TYPES: ReadonlySet<number> = new Set([114, 3802]);

async function faultOf(value: unknown, column: ColumnDescription, source: Pool): Promise<string | undefined> {
  if (value === null) return column.isNotNull ? 'must not be null' : undefined;
  const limit = column.typeModifier - LIMIT_OFFSET;
  if (LIMITED_TEXTS.has(column.typeOid) && limit > 0 && [...String(value)].length > limit) {
    return `must have at most ${limit} characters`;
  }
  const isJson = JSON_TYPES.has(column.baseTypeOid);
  const isStructure = typeof value === 'object' && !(value instanceof ExactNumber) && !isJson;
  if (isStructure && !(Array.isArray(value) && column.typeName.endsWith('[]'))) {
    return `is not of type ${column.typeName}`;
  }
  // A JSON column takes any value.
  const fault = isJson ? undefined : scalarFault(value, column.baseTypeOid);
  if (fault !== undefined) return fault;
  const { bind, values } = createBinder();
  const cast = `${assignedSql(value, column, bind)}::${column.typeName}`;
  return (await isAccepted(source, `select (${cast}) is null`, values))
    ? undefined
    : `is not of type ${column.typeName}`;
}

function scalarFault(value: unknown, typeOid: number): string | undefined {
  if (Array.isArray(value)) {
    const elementOid = elementTypeOf(typeOid);
    if (elementOid === undefined) return undefined;
    return value.map((part) => (part === null ? undefined : scalarFault(part, elementOid))).find(Boolean);
  }
  const kind = kindOf(value);
  if (kind === undefined) return undefined;
  const text = value instanceof ExactNumber ? wholeDigits(value) : String(value);
  return formFault({ text, kind }, typeOid, { takesAnyScalarAsText: true });
}

function kindOf(value: unknown): JsonKind | undefined {
  if (value instanceof ExactNumber || typeof value === 'number') return 'number';
  if (typeof value === 'string') return 'text';
  return typeof value === 'boolean' ? 'boolean' : undefined;
}
