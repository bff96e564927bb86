import type { BulkRequest } from '../domain/bulk.ts';
import { namesInFilter, parseFilter } from '../domain/bulk-filter.ts';
import type { Resource } from '../domain/catalog.ts';
import type { MappedField } from '../domain/public-field.ts';
import { columnTextOf, findParamField } from '../domain/public-names.ts';
import type { BulkOperation } from './operation.ts';

/** A parameter of an operation: what requests call it, and the column that it sets. */
export interface Param {
  readonly name: string;
  readonly column: string;
  /** Its values are the names that the field has for the column's. */
  readonly named: MappedField | undefined;
}

/** The parameters that set columns; none for a handler, which takes any. */
export function paramsOf({ fields }: Pick<Resource, 'fields'>, operation: BulkOperation): readonly Param[] {
  if (operation.kind !== 'set') return [];
  return operation.fromParams.map((column) => {
    const field = fields && findParamField(fields, column);
    return {
      name: field?.name ?? column,
      column,
      named: field !== undefined && 'map' in field ? field : undefined,
    };
  });
}

/** Checked parameters by the columns that they set, with the columns' values. Those of a handler stay as they are. */
export function toColumnParams(
  resource: Pick<Resource, 'fields'>,
  operation: BulkOperation,
  params: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (operation.kind !== 'set') return params;
  return Object.fromEntries(
    paramsOf(resource, operation)
      .filter(({ name }) => Object.hasOwn(params, name))
      .map(({ name, column, named }) => [column, toColumnValue(named, params[name])]),
  );
}

/** What of a request is in public names. */
type NamedParts = Pick<BulkRequest, 'params' | 'filter'>;

/** The names in a request whose values a map gives. Kept with a job: without its map such a value is another column's text. */
export function mappedNames(
  { fields = [] }: Pick<Resource, 'fields'>,
  operation: BulkOperation,
  request: NamedParts,
): string[] {
  const names = new Set(namesIn(operation, request));
  return fields.flatMap((field) => ('map' in field && names.has(field.name) ? field.name : []));
}

/** A name in a job's request that no longer means what it did when the job was queued; undefined when all do. */
export function changedName(
  resource: Pick<Resource, 'fields'>,
  operation: BulkOperation,
  request: NamedParts & Pick<BulkRequest, 'mapped'>,
): string | undefined {
  const known = new Map(paramsOf(resource, operation).map((param) => [param.name, param]));
  const mapped = mappedNames(resource, operation, request);
  const isOther = (name: string) =>
    request.mapped !== undefined && request.mapped.includes(name) !== mapped.includes(name);
  const isUnknown = (name: string) => {
    const param = known.get(name);
    return param === undefined || toColumnValue(param.named, request.params[name]) === undefined;
  };
  const params = operation.kind === 'set' ? Object.keys(request.params) : [];
  return params.find(isUnknown) ?? namesIn(operation, request).find(isOther);
}

function namesIn(operation: BulkOperation, { params, filter }: NamedParts): string[] {
  return [
    ...(operation.kind === 'set' ? Object.keys(params) : []),
    ...(filter === null ? [] : namesInFilter(parseFilter(filter))),
  ];
}

/** Undefined, which no request has, for a name that the map does not have. */
export function toColumnValue(named: MappedField | undefined, value: unknown): unknown {
  return named === undefined || value === null ? value : columnTextOf(named, value);
}
