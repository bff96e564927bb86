/** What a constant or a map of the catalog publishes. */
export type PublicValue = string | number | boolean;

/**
 * One field of a resource's public shape. The names of the columns are the operator's; customers see `name` alone.
 * Plain JSON, because the schemas in the registry carry it beside the columns that it was written for.
 */
export type PublicField = PlainField | MappedField | PathField | ConstantField;

/** A column's own value. */
export interface PlainField {
  readonly name: string;
  readonly column: string;
}

/** A value for each value of a column. */
export interface MappedField {
  readonly name: string;
  readonly column: string;
  /** By the text that the column's value has in files. */
  readonly map: Readonly<Record<string, PublicValue>>;
  /** For every other value. Without it, such a value is published as it is. */
  readonly otherwise?: PublicValue;
}

/** A member of the JSON objects in a column. */
export interface PathField {
  readonly name: string;
  readonly column: string;
  readonly path: readonly string[];
  readonly type: PathType;
}

/** `text`: a JSON string's own text, and null for a JSON null. `json`: the member as it is. */
export const PATH_TYPES = ['text', 'json'] as const;
export type PathType = (typeof PATH_TYPES)[number];

export interface ConstantField {
  readonly name: string;
  readonly value: PublicValue;
}

/** The column that a field is made of; undefined for a constant. */
export function columnOfField(field: PublicField): string | undefined {
  return 'column' in field ? field.column : undefined;
}

export function isPlain(field: PublicField): field is PlainField {
  return 'column' in field && !('map' in field) && !('path' in field);
}

/** The columns that the fields are made of, each once. */
export function columnsOfFields(fields: readonly PublicField[]): readonly string[] {
  return [...new Set(fields.flatMap((field) => columnOfField(field) ?? []))];
}

/** The first field that is the column's own value. */
export function plainFieldOf(fields: readonly PublicField[], column: string): PlainField | undefined {
  return fields.filter(isPlain).find((field) => field.column === column);
}
