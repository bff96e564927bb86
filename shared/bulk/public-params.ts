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

/** Undefined, which no request has, for a name that the map does not have. */
export function toColumnValue(named: MappedField | undefined, value: unknown): unknown {
  return named === undefined || value === null ? value : columnTextOf(named, value);
}
