import { readFile, writeFile } from 'node:fs/promises';
import avro from 'avsc';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RowTexts, RowType } from '../../../shared/domain/row-type.ts';
import { quoteIdent, quoteLiteral } from '../../../shared/postgres/quote.ts';
import { Session } from '../../../shared/postgres/session.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import { loadTypes, UnknownTypeError } from '../../../shared/values/database-types.ts';
import { jsonToWireText, readJsonMembers } from '../../../shared/values/json-members.ts';
import { toWireTexts } from '../../../shared/values/json-text.ts';
import { createRowCodec } from '../../../shared/values/row-codec.ts';
import { doubleText, floatToWire } from '../../../shared/values/scalar-types.ts';
import { WIRE_HEADER_BYTES } from '../../../shared/values/wire-format.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

/**
 * One value of the golden table. To add one, write its `type` and `literal` and run with `UPDATE_GOLDEN=1`: the rest
 * is filled in, and the diff is what has to be read.
 */
interface GoldenValue {
  type: string;
  literal: string;
  pg_type?: string;
  pg_text?: string | null;
  kind?: string;
  wire?: string | null;
  json?: string;
}

const GOLDEN_FILE = new URL('../../golden/values.json', import.meta.url);

const TYPES_SQL = `
create extension hstore; create extension citext; create extension ltree;
create type mood as enum ('sad', 'very happy');
create domain positive as int4 check (value > 0);
create domain strictly_positive as positive;
create domain short_tags as text[];
create type item as (id int4, label text, note text, tags text[], ok bool, doc jsonb, raw bytea, at timestamptz);
alter type item add attribute gone int4;
alter type item drop attribute gone;
create type single as (only_one text);
create type nested_item as (item item, items item[]);
create table row_type (id int4, label text);`;

/** What a database or a role may have as its defaults; none of it may show in a value. */
const HOSTILE_DEFAULTS = [
  `DateStyle to 'SQL, DMY'`,
  `TimeZone to 'Asia/Kathmandu'`,
  `IntervalStyle to 'sql_standard'`,
  `bytea_output to 'escape'`,
  'extra_float_digits to -5',
  `default_transaction_isolation to 'serializable'`,
  'statement_timeout to 1',
];

/** Names that need quoting everywhere, and an Avro name of their own. */
const TABLE = 'Tab.le "ü" 😀';
const PUBLICATION = 'values_publication';
const GOLDEN_NAMES = { namespace: 'golden', record: 'Row' };

let database: TestDatabase;
let setUp: pg.Client;
let session: pg.Client;
let golden: GoldenValue[];
let slot: string;

beforeAll(async () => {
  golden = JSON.parse(await readFile(GOLDEN_FILE, 'utf8'));
  database = await createDatabase('values');
  slot = `${database.name}_slot`;
  setUp = new pg.Client({ connectionString: database.url });
  await setUp.connect();
  await setUp.query(TYPES_SQL);
  const columns = golden.map(({ type }, index) => `${quoteIdent(columnName(index))} ${type}`);
  await setUp.query(`create table ${quoteIdent(TABLE)} ("Id" int8 primary key, ${columns.join(', ')})`);
  await setUp.query(`create publication ${PUBLICATION} for table ${quoteIdent(TABLE)}`);
  await setUp.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  const literals = golden.map(({ type, literal }) => `${quoteLiteral(literal)}::${type}`);
  await setUp.query(`insert into ${quoteIdent(TABLE)} values (1, ${literals.join(', ')})`);
  for (const setting of HOSTILE_DEFAULTS) {
    await setUp.query(`alter database ${quoteIdent(database.name)} set ${setting}`);
  }
  session = new Session({ connectionString: database.url, options: TEXT_SESSION_OPTIONS, types: rawTypes });
  await session.connect();
});

afterAll(async () => {
  await session?.end();
  await setUp?.end();
  await database?.drop();
});

function columnName(index: number): string {
  return index % 2 === 0 ? `c.${index} "é"` : `c${index}`;
}

/** The row as an export reads it, with the row type that the catalog of PostgreSQL gives it. */
async function readTable(): Promise<{ rowType: RowType; row: RowTexts }> {
  const types = await loadTypes(session);
  const { rows: attributes } = await session.query<Record<'name' | 'oid' | 'typmod', string>>(
    `select attname as name, atttypid as oid, atttypmod as typmod from pg_attribute
     where attrelid = ${quoteLiteral(quoteIdent(TABLE))}::regclass and attnum > 0 order by attnum`,
  );
  const { rows } = await session.query<(string | null)[]>({
    text: `select * from ${quoteIdent(TABLE)}`,
    rowMode: 'array',
  });
  const columns = attributes.map(({ name, oid, typmod }, index) => ({
    name,
    type: types.valueType(Number(oid), Number(typmod)),
    isKey: index === 0,
  }));
  return { rowType: { resource: 'values', columns }, row: rows[0] ?? [] };
}

test('every type has the text, the Avro value and the JSON of the golden table', async () => {
  const { rowType, row } = await readTable();
  const codec = createRowCodec(rowType, GOLDEN_NAMES);
  const wire = toWireTexts(rowType, row);
  const message = codec.encode(row, 1);

  const actual = golden.map(({ type, literal }, index): GoldenValue => {
    const column = rowType.columns[index + 1];
    const value = wire[index + 1] ?? null;
    const single = createRowCodec(
      { resource: 'values', columns: column === undefined ? [] : [column] },
      GOLDEN_NAMES,
    );
    const prefix = `{${JSON.stringify(column?.name)}:`;
    return {
      type,
      literal,
      pg_type: column?.type.pgName ?? '',
      pg_text: row[index + 1] ?? null,
      kind: column?.type.kind ?? '',
      wire: value,
      json: single.toJson([value]).slice(prefix.length, -1),
    };
  });
  if (process.env.UPDATE_GOLDEN === '1') await writeFile(GOLDEN_FILE, `${JSON.stringify(actual, null, 2)}\n`);
  else expect(actual).toEqual(golden);

  expect(codec.decode(message)).toEqual(wire);
  expect(codec.decodeToJson(message)).toBe(codec.toJson(wire));
  expect(() => JSON.parse(codec.toJson(wire))).not.toThrow();
  const plain = JSON.parse(JSON.stringify(codec.schema));
  const values = avro.Type.forSchema(plain, { registry: { long: LONG_AS_BIGINT }, wrapUnions: false });
  const read = Object.values(values.fromBuffer(message.subarray(WIRE_HEADER_BYTES)) as object);
  expect(read.map(wireOfAvro)).toEqual(wire.map((text, index) => wireOfNumber(rowType, text, index)));
});

test('what an event tells of a row leads back to the same message as the row itself', async () => {
  const { rowType, row } = await readTable();
  const codec = createRowCodec(rowType, GOLDEN_NAMES);
  const wire = toWireTexts(rowType, row);
  const members = readJsonMembers(codec.toJson(wire));
  const back = rowType.columns.map(({ name, type }, index) =>
    wire[index] === null ? null : jsonToWireText(type.kind, members.get(name) ?? ''),
  );
  expect(back).toEqual(wire);
  expect(codec.encodeWire(back, 1)).toEqual(codec.encode(row, 1));
});

const LONG_AS_BIGINT = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

function wireOfAvro(value: unknown): string | null {
  if (value === null) return null;
  if (Buffer.isBuffer(value)) return value.toString('base64');
  return typeof value === 'number' ? doubleText(value) : String(value);
}

/** The other library gives a float4 as the double of the same value, with all of that double's digits. */
function wireOfNumber(rowType: RowType, text: string | null, index: number): string | null {
  const isFloat = rowType.columns[index]?.type.kind === 'float';
  return isFloat && text !== null ? doubleText(Math.fround(Number(text))) : text;
}

test('the change feed has the same text of every value', async () => {
  const { row } = await readTable();
  const { rows } = await session.query<{ data: string }>(
    `select data from pg_logical_slot_peek_binary_changes(${quoteLiteral(slot)}, null, null,
       'proto_version', '1', 'publication_names', '${PUBLICATION}')`,
  );
  const messages = rows.map(({ data }) => Buffer.from(data.slice(2), 'hex'));
  const insert = messages.find((message) => message.toString('latin1', 0, 1) === 'I');
  expect(readInsertedTexts(insert ?? Buffer.alloc(0))).toEqual(row);
});

/** The texts of an Insert message; see "Logical Replication Message Formats" in PostgreSQL's manual. */
function readInsertedTexts(insert: Buffer): (string | null)[] {
  const COUNT_AT = 6;
  let at = COUNT_AT + 2;
  return Array.from({ length: insert.readInt16BE(COUNT_AT) }, () => {
    const kind = insert.toString('latin1', at, at + 1);
    at += 1;
    if (kind === 'n') return null;
    const start = at + 4;
    at = start + insert.readInt32BE(at);
    return insert.toString('utf8', start, at);
  });
}

test('a float4 has the digits that PostgreSQL gives it', async () => {
  await session.query('select setseed(0.5)');
  const { rows } = await session.query<{ text: string }>(
    `select (case when g < 0 then 1 / 2::float8 ^ -g else 2::float8 ^ g end)::float4::text as text
       from generate_series(-149, 127) as g
     union all select (random() * 10 ^ (random() * 70 - 35))::float4::text from generate_series(1, 3000)`,
  );
  const different = rows.filter(({ text }) => floatToWire(text) !== doubleText(Number(text)));
  expect(different).toEqual([]);
});

test('a type made after loading is unknown until the types are loaded again', async () => {
  const before = await loadTypes(session);
  await setUp.query('create type later as (id int8)');
  const { rows } = await session.query<{ oid: string }>(`select 'later'::regtype::oid as oid`);
  const oid = Number(rows[0]?.oid);
  expect(() => before.valueType(oid)).toThrow(UnknownTypeError);
  expect((await loadTypes(session)).valueType(oid).pgName).toBe('public.later');
});

test('single types are loaded with what they are made of, and mean the same', async () => {
  await setUp.query(`
    create type point_pair as (a point, b int8[]); create domain pairs as point_pair[]; create domain deeper as pairs;
    create table holds (p point_pair, q pairs, r deeper, s text[], t numeric(12,2), u int2vector)`);
  const { rows } = await session.query<{ oid: string; typmod: string }>(
    `select atttypid::text as oid, atttypmod::text as typmod from pg_attribute
     where attrelid = 'holds'::regclass and attnum > 0 order by attnum`,
  );
  const all = await loadTypes(session);
  const few = await loadTypes(
    session,
    rows.map(({ oid }) => Number(oid)),
  );
  const shown = (types: typeof all) =>
    rows.map(({ oid, typmod }) => {
      const { kind, pgName } = types.valueType(Number(oid), Number(typmod));
      return [kind, pgName];
    });
  expect(shown(few)).toEqual(shown(all));
  expect(() => few.valueType(16)).toThrow(UnknownTypeError);
});
