import type { ValueType } from '../domain/row-shape.ts';
import { jsonString, pgToJson } from './json-text.ts';
import { arrayToJson, hstoreToJson, parseRecordText } from './nested-text.ts';
import { scalarType } from './scalar-types.ts';

/** The types of one database at one time. */
export interface Types {
  /**
   * The value type of a column of that type: a domain as its base, however deep. `typmod` is the column's
   * `atttypmod`, which both the catalog and pgoutput's Relation message give.
   *
   * @throws UnknownTypeError when the type was made after these were loaded
   */
  valueType(oid: number, typmod?: number): ValueType;
}

/** A type made after the types were loaded: load them again. */
export class UnknownTypeError extends Error {
  override readonly name = 'UnknownTypeError';
  readonly oid: number;

  constructor(oid: number) {
    super(`type with OID ${oid} is not among the types loaded`);
    this.oid = oid;
  }
}

/** One row of `pg_type`, with what is needed from the tables around it. */
export interface TypeRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** The extension it belongs to, if any: an extension's types have no fixed OID and may live in any schema. */
  readonly extension: string | null;
  /** What a domain is made from. */
  readonly baseOid: number | null;
  readonly baseTypmod: number;
  /** An array's element type, and what stands between two elements. */
  readonly elementOid: number | null;
  readonly delimiter: string | null;
  /** A composite's attributes in order. */
  readonly attributes: readonly { readonly name: string; readonly oid: number }[] | null;
}

const NO_TYPMOD = -1;

export function createTypes(rows: readonly TypeRow[]): Types {
  const rowsByOid = new Map(rows.map((row) => [row.oid, row]));

  /** Ends, since PostgreSQL refuses a composite that contains itself. */
  function valueType(oid: number, typmod: number = NO_TYPMOD): ValueType {
    const row = rowsByOid.get(oid);
    if (row === undefined) throw new UnknownTypeError(oid);
    if (row.baseOid !== null) return valueType(row.baseOid, row.baseTypmod);
    if (row.elementOid !== null) return arrayType(valueType(row.elementOid, typmod), row.delimiter ?? ',');
    if (row.attributes !== null) return compositeType(row, row.attributes);
    if (row.schema === 'pg_catalog') return scalarType(row.name, typmod);
    if (row.name === 'hstore' && row.extension === 'hstore') {
      return { kind: 'json', pgName: nameOf(row), toWire: hstoreToJson };
    }
    return { kind: 'string', pgName: nameOf(row) };
  }

  function compositeType(row: TypeRow, attributes: NonNullable<TypeRow['attributes']>): ValueType {
    const members = attributes.map(({ name, oid }) => ({
      prefix: `${jsonString(name)}:`,
      type: valueType(oid),
    }));
    const toWire = (pgText: string): string => {
      const texts = parseRecordText(pgText, members.length);
      const json = members.map(({ prefix, type }, index) => {
        const text = texts[index] ?? null;
        return prefix + (text === null ? 'null' : pgToJson(type, text));
      });
      return `{${json.join(',')}}`;
    };
    return { kind: 'json', pgName: nameOf(row), toWire };
  }

  return { valueType };
}

function arrayType(element: ValueType, delimiter: string): ValueType {
  const elementToJson = (pgText: string): string => pgToJson(element, pgText);
  return {
    kind: 'json',
    pgName: `${element.pgName}[]`,
    toWire: (pgText) => arrayToJson(pgText, delimiter, elementToJson),
  };
}

function nameOf(row: TypeRow): string {
  return `${row.schema}.${row.name}`;
}
