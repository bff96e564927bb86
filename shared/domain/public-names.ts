import { type Comparison, FilterError, type FilterNode, type FilterValue } from './bulk-filter.ts';
import { leaves, type Resource } from './catalog.ts';
import {
  isPlain,
  type MappedField,
  type PlainField,
  type PublicField,
  plainFieldOf,
} from './public-field.ts';

// Requests speak of fields; statements speak of columns. All that leads from one to the other.

/** The name of a column's own value for customers; undefined when they do not see it. */
export function publicNameOf(resource: Pick<Resource, 'fields' | 'expose' | 'hide'>, column: string) {
  if (resource.fields !== undefined) return plainFieldOf(resource.fields, column)?.name;
  return leaves(resource, column) ? column : undefined;
}

/** The column whose own value the field is. Without fields any name is taken for a column's, which the table knows. */
export function columnOfName({ fields }: Pick<Resource, 'fields'>, name: string): string | undefined {
  if (fields === undefined) return name;
  return fields.filter(isPlain).find((field) => field.name === name)?.column;
}

/** The public names of the key, in key order. */
export function publicKey(resource: Pick<Resource, 'fields' | 'key'>): readonly string[] {
  const { key, fields } = resource;
  return key.map((column) => (fields && plainFieldOf(fields, column)?.name) ?? column);
}

/** What customers call the column that `date_range` means unless a request says otherwise. The catalog lets it leave. */
export function publicRange(resource: Pick<Resource, 'fields' | 'range'>): string | undefined {
  const { range, fields } = resource;
  return range === undefined ? undefined : ((fields && plainFieldOf(fields, range)?.name) ?? range);
}

/** The field under which an operation takes a value of the column: its own, or one of a map that can be read backwards. */
export function findParamField(
  fields: readonly PublicField[],
  column: string,
): PlainField | MappedField | undefined {
  const plain = plainFieldOf(fields, column);
  if (plain !== undefined) return plain;
  return fields.find(
    (field): field is MappedField =>
      'map' in field &&
      field.column === column &&
      new Set(Object.values(field.map)).size === Object.keys(field.map).length,
  );
}

/** A value of a map read backwards: the column's text, or undefined for a value that the map does not have. */
export function columnTextOf({ map }: MappedField, value: unknown): string | undefined {
  return Object.keys(map).find((text) => map[text] === value);
}

export function showValues({ map, otherwise }: MappedField): string {
  const values = [...Object.values(map), ...(otherwise === undefined ? [] : [otherwise])];
  const shown = [...new Set(values.map((value) => JSON.stringify(value)))];
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN).join(', ')}, …` : shown.join(', ');
}

const MAX_SHOWN = 40;

/** Whether a column can have that text as a value. */
export type CanHold = (column: string, text: string) => boolean | 'unknown';

/**
 * A filter on fields as a filter on columns. Places in the request stay.
 *
 * @throws FilterError for a field that is not there, or takes no such condition or value
 */
export function toColumnFilter(
  node: FilterNode,
  resource: Pick<Resource, 'name' | 'fields'>,
  canHold: CanHold,
): FilterNode {
  const { name, fields } = resource;
  if (fields === undefined) return node;
  if (node.kind === 'group') {
    return { ...node, nodes: node.nodes.map((part) => toColumnFilter(part, resource, canHold)) };
  }
  const place = node.pointer.slice(0, node.pointer.lastIndexOf('/'));
  const field = fields.find((each) => each.name === node.column);
  if (field === undefined)
    throw new FilterError(place, `${name} has no field ${JSON.stringify(node.column)}`);
  if ('path' in field) {
    const { column, path, type } = field;
    return { ...node, column, member: { path, type } };
  }
  if (isPlain(field)) return { ...node, column: field.column };
  if ('value' in field) throw new FilterError(place, 'has the same value in every record: leave it out');
  return mappedFilter(node, field, canHold);
}

type Condition = Exclude<FilterNode, { kind: 'group' }>;

function mappedFilter(node: Condition, field: MappedField, canHold: CanHold): FilterNode {
  const { pointer } = node;
  if (node.kind === 'is_null') return { ...node, column: field.column };
  const publishes = (value: FilterValue) => publishesFilter(value, field, canHold);
  if (node.kind === 'in') return group('or', node.values.map(publishes));
  if (node.kind === 'compare' && node.by === 'eq') return publishes(node.value);
  if (node.kind === 'compare' && node.by === 'ne') return publishesNotFilter(node.value, field, canHold);
  throw new FilterError(pointer, 'is not for a field of named values, which takes eq, ne, in and is_null');
}

/** Rows whose column is published as the value. */
function publishesFilter(value: FilterValue, field: MappedField, canHold: CanHold): FilterNode {
  const { isRest, texts } = textsOf(value, field, canHold);
  if (!isRest) return oneOf(field.column, texts, value);
  const others = Object.keys(field.map).filter((text) => !texts.includes(text));
  return group('and', [
    nullness(field.column, false, value),
    ...others.map((text) => compare(field.column, 'ne', text, value)),
  ]);
}

/** As `ne` of a column, it holds for a row without a value. */
function publishesNotFilter(value: FilterValue, field: MappedField, canHold: CanHold): FilterNode {
  const { isRest, texts } = textsOf(value, field, canHold);
  if (!isRest) {
    const differ = texts.map((text) => compare(field.column, 'ne', text, value));
    return differ.length > 0 ? group('and', differ) : always(field.column, value);
  }
  const others = Object.keys(field.map).filter((text) => !texts.includes(text));
  return group('or', [nullness(field.column, true, value), oneOf(field.column, others, value)]);
}

/** `isRest`: the value stands for all that the map does not name. @throws FilterError for a value that no record has */
function textsOf(
  value: FilterValue,
  field: MappedField,
  canHold: CanHold,
): { isRest: boolean; texts: string[] } {
  const { column, map, otherwise } = field;
  requireKind(value, Object.values(map)[0]);
  const texts = Object.keys(map).filter((text) => String(map[text]) === value.text);
  const isRest = otherwise !== undefined && String(otherwise) === value.text;
  const canBeAsItIs =
    otherwise === undefined && !Object.hasOwn(map, value.text) ? canHold(column, value.text) : false;
  if (canBeAsItIs === true || (canBeAsItIs === 'unknown' && texts.length === 0)) {
    return { isRest, texts: [...texts, value.text] };
  }
  if (texts.length === 0 && !isRest) {
    throw new FilterError(value.pointer, `is not a value of the field, which are ${showValues(field)}`);
  }
  return { isRest, texts };
}

function requireKind({ kind, pointer }: FilterValue, example: unknown): void {
  if (typeof example === 'number' && kind === 'boolean')
    throw new FilterError(pointer, 'must be a whole number');
  if (typeof example === 'boolean' && kind === 'number')
    throw new FilterError(pointer, 'must be true or false');
  if (typeof example === 'string' && kind !== 'text') throw new FilterError(pointer, 'must be a string');
}

function group(by: 'and' | 'or', nodes: readonly FilterNode[]): FilterNode {
  return { kind: 'group', by, nodes };
}

/** The column takes every value as text; what the request had was the field's. */
const asText = (text: string, { pointer }: FilterValue): FilterValue => ({ text, kind: 'text', pointer });

function compare(column: string, by: Comparison, text: string, value: FilterValue): FilterNode {
  return { kind: 'compare', column, by, value: asText(text, value), pointer: value.pointer };
}

function oneOf(column: string, texts: readonly string[], value: FilterValue): FilterNode {
  const { pointer } = value;
  if (texts.length === 0)
    return group('and', [nullness(column, true, value), nullness(column, false, value)]);
  return { kind: 'in', column, values: texts.map((text) => asText(text, value)), pointer };
}

function nullness(column: string, isNull: boolean, { pointer }: FilterValue): FilterNode {
  return { kind: 'is_null', column, isNull, pointer };
}

function always(column: string, value: FilterValue): FilterNode {
  return group('or', [nullness(column, true, value), nullness(column, false, value)]);
}
