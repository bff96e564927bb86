import type { Change } from '../domain/change.ts';
import {
  type ConstantField,
  columnOfField,
  isPlain,
  type MappedField,
  type PathField,
  type PublicField,
  type PublicValue,
  plainFieldOf,
} from '../domain/public-field.ts';
import type { Column, RowTexts, RowType, ValueType } from '../domain/row-type.ts';
import { jsonMember } from './json-member.ts';

/** How a resource's rows look to its customers. Files and events are made by `apply`, so that they can't differ. */
export interface PublicShape {
  /** Of the rows that `apply` makes. */
  readonly rowType: RowType;
  /** A row as customers see it, from the columns' wire texts. */
  apply(wireTexts: RowTexts): RowTexts;
  /**
   * A row that `apply` makes these texts of, with null in the columns that decide nothing of them. The log of events has
   * public values only, and this makes rows of them.
   */
  restore(publicTexts: RowTexts): RowTexts;
  /** The fields that are made of any of these columns. */
  namesOf(columns: readonly string[]): readonly string[];
  /** The field that is the column's own value. */
  nameOf(column: string): string | undefined;
}

/** @throws RangeError when a field is made of a column that the row type lacks */
export function createPublicShape(rowType: RowType): PublicShape {
  const { resource, columns, fields } = rowType;
  if (fields === undefined) {
    const names = new Set(columns.map(({ name }) => name));
    return {
      rowType,
      apply: (texts) => texts,
      restore: (texts) => texts,
      namesOf: (all) => all,
      nameOf: (column) => (names.has(column) ? column : undefined),
    };
  }
  const made = fields.map((field) => ({ place: placeOf(rowType, columnOfField(field)), field }));
  const readers = made.map(({ field, place }) => readerOf(field, place));
  const restorers = columns.map((column, place) =>
    restorerOf(
      column.type.kind,
      made.flatMap((each, index) => (each.place === place ? { field: each.field, index } : [])),
    ),
  );
  return {
    rowType: {
      resource,
      columns: made.map(({ field, place }) => publicColumn(field, columns[place], fields)),
    },
    apply: (texts) => readers.map((read) => read(texts)),
    restore: (texts) => restorers.map((restore) => restore(texts)),
    namesOf: (all) =>
      fields.filter((field) => all.includes(columnOfField(field) ?? '')).map(({ name }) => name),
    nameOf: (column) => plainFieldOf(fields, column)?.name,
  };
}

/** A change as customers see it. One that changes none of their fields is a change all the same. */
export function toPublicChange<T extends Change>(shape: PublicShape, change: T): T {
  const { before, after, unchanged, missing, filled } = change;
  return {
    ...change,
    before: before && shape.apply(before),
    after: after && shape.apply(after),
    unchanged: shape.namesOf(unchanged),
    missing: shape.namesOf(missing),
    ...(filled === undefined ? {} : { filled: { ...filled, columns: shape.namesOf(filled.columns) } }),
  };
}

function placeOf({ resource, columns }: RowType, name: string | undefined): number {
  if (name === undefined) return -1;
  const place = columns.findIndex((column) => column.name === name);
  if (place === -1) throw new RangeError(`${resource} has no column ${JSON.stringify(name)} for its fields`);
  return place;
}

const TEXT: ValueType = { kind: 'string', pgName: 'text' };
const JSON_VALUE: ValueType = { kind: 'json', pgName: 'jsonb' };
const WHOLE_NUMBER: ValueType = { kind: 'long', pgName: 'int8' };
const BOOLEAN: ValueType = { kind: 'boolean', pgName: 'bool' };

/** A key column has one public name, the first. */
function publicColumn(
  field: PublicField,
  column: Column | undefined,
  fields: readonly PublicField[],
): Column {
  const { name } = field;
  const isKey = column?.isKey === true && plainFieldOf(fields, column.name) === field;
  return { name, type: publicType(field, column), isKey };
}

function publicType(field: PublicField, column: Column | undefined): ValueType {
  if ('value' in field) return typeOfValue(field.value);
  if ('path' in field) return field.type === 'json' ? JSON_VALUE : TEXT;
  if ('map' in field) return typeOfValue(Object.values(field.map)[0] ?? field.otherwise ?? '');
  if (column === undefined) throw new RangeError(`the field ${field.name} has no column`);
  return column.type;
}

function typeOfValue(value: PublicValue): ValueType {
  if (typeof value === 'number') return WHOLE_NUMBER;
  return typeof value === 'boolean' ? BOOLEAN : TEXT;
}

function readerOf(field: PublicField, place: number): (texts: RowTexts) => string | null {
  if ('value' in field) {
    const text = String(field.value);
    return () => text;
  }
  const of = fieldReader(field);
  return (texts) => {
    const text = texts[place] ?? null;
    return text === null ? null : of(text);
  };
}

/** What a field makes of a value of its column, both as wire texts. */
export function fieldReader(field: Exclude<PublicField, ConstantField>): (text: string) => string | null {
  if ('path' in field) return pathReader(field);
  return 'map' in field ? mapReader(field) : (text) => text;
}

function pathReader({ path, type }: PathField): (json: string) => string | null {
  return (json) => {
    const member = jsonMember(json, path);
    if (member === undefined) return null;
    return type === 'json' ? member : textOfJson(member);
  };
}

/** As PostgreSQL's `->>`: a string without quotes and escapes, and everything else as it is written. */
function textOfJson(json: string): string | null {
  if (json === 'null') return null;
  return json.startsWith('"') ? String(JSON.parse(json)).toWellFormed() : json;
}

function mapReader({ map, otherwise }: MappedField): (text: string) => string {
  const values = new Map(Object.entries(map).map(([text, value]) => [text, String(value)]));
  const rest = otherwise === undefined ? undefined : String(otherwise);
  return (text) => values.get(text) ?? rest ?? text;
}

/** A field of the column, and its place in the public row. */
interface Use {
  readonly field: PublicField;
  readonly index: number;
}

function restorerOf(kind: ValueType['kind'], uses: readonly Use[]): (texts: RowTexts) => string | null {
  const plain = uses.find(({ field }) => isPlain(field));
  if (plain !== undefined) return (texts) => texts[plain.index] ?? null;
  const paths = uses.flatMap(({ field, index }) => ('path' in field ? { field, index } : []));
  if (paths.length > 0) return pathRestorer(paths);
  const maps = uses.flatMap(({ field, index }) => ('map' in field ? { field, index } : []));
  return maps.length > 0 ? mapRestorer(kind, maps) : () => null;
}

type JsonTree = Map<string, JsonTree | string>;

/** The least object with these members. */
function pathRestorer(
  uses: readonly { readonly field: PathField; readonly index: number }[],
): (texts: RowTexts) => string | null {
  // What holds others comes first, and JSON before text: it says more.
  const inOrder = uses.toSorted(
    (a, b) => a.field.path.length - b.field.path.length || a.field.type.localeCompare(b.field.type),
  );
  return (texts) => {
    const root: JsonTree = new Map();
    for (const { field, index } of inOrder) {
      const text = texts[index] ?? null;
      if (text === null) continue;
      const isObject = inOrder.some(
        (other) => isInside(other.field.path, field.path) && (texts[other.index] ?? null) !== null,
      );
      plant(root, field.path, field.type === 'json' || isObject ? text : JSON.stringify(text));
    }
    return root.size === 0 ? null : printTree(root);
  };
}

function isInside(path: readonly string[], outer: readonly string[]): boolean {
  return path.length > outer.length && outer.every((step, at) => step === path[at]);
}

/** What is inside a member that is there already is a part of that one's text. */
function plant(root: JsonTree, path: readonly string[], json: string): void {
  let tree = root;
  for (const step of path.slice(0, -1)) {
    const next = tree.get(step) ?? new Map();
    if (typeof next === 'string') return;
    tree.set(step, next);
    tree = next;
  }
  const last = path.at(-1) ?? '';
  if (!tree.has(last)) tree.set(last, json);
}

function printTree(tree: JsonTree): string {
  const members = [...tree].map(
    ([name, value]) => `${JSON.stringify(name)}:${typeof value === 'string' ? value : printTree(value)}`,
  );
  return `{${members.join(',')}}`;
}

/** Any value of the column that has the published ones. */
function mapRestorer(
  kind: ValueType['kind'],
  uses: readonly { readonly field: MappedField; readonly index: number }[],
): (texts: RowTexts) => string | null {
  const readers = uses.map(({ field, index }) => ({ read: mapReader(field), index }));
  const keys = [...new Set(uses.flatMap(({ field }) => Object.keys(field.map)))];
  const others = kind === 'boolean' ? ['true', 'false'] : [unlike(keys)];
  return (texts) => {
    const published = readers.map(({ index }) => texts[index] ?? null);
    if (published.includes(null)) return null;
    const candidates = [...keys, ...others, ...(published as string[])].filter((text) => fits(kind, text));
    return candidates.find((text) => readers.every(({ read }, at) => read(text) === published[at])) ?? null;
  };
}

/** Whether a column of that kind can have the text. Kinds without a map are left out. */
function fits(kind: ValueType['kind'], text: string): boolean {
  if (kind === 'int' || kind === 'long') return /^-?\d+$/.test(text);
  return kind !== 'boolean' || text === 'true' || text === 'false';
}

/** A whole number, which a column of nearly every type can hold. */
function unlike(keys: readonly string[]): string {
  let text = '0';
  for (let number = 1; keys.includes(text); number += 1) text = String(number);
  return text;
}
