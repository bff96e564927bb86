import { type PublicField, plainFieldOf } from '../domain/public-field.ts';
import { findParamField } from '../domain/public-names.ts';
import { type ResourceEntry, toPublicField } from './catalog-schema.ts';

/** A problem of one resource, with the way to it from there. */
export type FieldProblem = readonly [path: readonly PropertyKey[], message: string];

/** Problems of `fields` that one field alone does not show. */
export function* checkFieldNames(entry: ResourceEntry): Generator<FieldProblem> {
  if (entry.fields === undefined) return;
  const fields = Object.entries(entry.fields).map(toPublicField);
  yield* checkLeavingFields(entry, fields);
  const known = new Map<string, string>();
  for (const { name } of fields) {
    const other = known.get(name.toLowerCase());
    if (other !== undefined) {
      yield [['fields', name], `differs from ${other} in its case alone, which many readers do not see`];
    }
    known.set(name.toLowerCase(), name);
  }
  const needed = [
    ...entry.key.map((column) => [column, 'key'] as const),
    ...(entry.range === undefined ? [] : [[entry.range, 'range'] as const]),
    // Customers and replicas tell a soft-deleted record by it, and as-of exports find its past in events.
    ...(entry.soft_delete === undefined ? [] : [[entry.soft_delete, 'soft_delete'] as const]),
  ];
  for (const [column, use] of needed) {
    if (plainFieldOf(fields, column) !== undefined) continue;
    yield [['fields'], `must have ${column} in it as it is, without map or path: it is the ${use} column`];
  }
  for (const [name, operation] of Object.entries(entry.operations)) {
    for (const [index, column] of (operation.set_from_params ?? []).entries()) {
      if (findParamField(fields, column) !== undefined) continue;
      const message = `${column} needs a public name: add it to fields, as it is or with a map whose values all differ`;
      yield [['operations', name, 'set_from_params', index], message];
    }
  }
}

function* checkLeavingFields(
  { expose, hide }: ResourceEntry,
  fields: readonly PublicField[],
): Generator<FieldProblem> {
  for (const field of fields) {
    if (!('column' in field)) continue;
    const { name, column } = field;
    if (hide.includes(column)) yield [['fields', name], `is made of ${column}, which is under hide`];
    else if (expose?.includes(column) === false) {
      yield [['fields', name], `is made of ${column}, which is not under expose`];
    }
  }
}
