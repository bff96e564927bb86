import { createHash } from 'node:crypto';
import { seededRandom } from '../../deploy/demo/random.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import { quoteIdent, quoteLiteral, quoteTable } from '../../shared/postgres/quote.ts';
import { ownerOf, type Shape, type ShapeReference, type ShapeTable } from './shape.ts';
import { tableOf, valueColumns } from './shape-sql.ts';

/** A row, and whose it is by the generator's own word; null for nobody's. */
export interface ShapeRow {
  readonly id: string;
  readonly account: string | null;
  readonly values: Readonly<Record<string, unknown>>;
}

export interface ShapeRows {
  /** Values of the accounts, as the product has them. */
  readonly accounts: readonly string[];
  /** By the table's word. */
  readonly rows: ReadonlyMap<string, readonly ShapeRow[]>;
  /** Generates further rows of each table, as the product would go on. */
  more(perAccount: number): ReadonlyMap<string, readonly ShapeRow[]>;
}

const ACCOUNTS = 3;
/** A nullable reference is null in one row of so many. */
const NULL_EVERY = 5;

/** Made-up rows, the same for the same shape and seed: for each account `perAccount` of each table, less those that are nobody's. */
export function generateRows(shape: Shape, perAccount: number, seed = 1): ShapeRows {
  const random = seededRandom(seed);
  const rows = new Map<string, ShapeRow[]>(shape.tables.map(({ word }) => [word, []]));
  const accounts = Array.from({ length: ACCOUNTS }, (_, at) => idOf(shape, rootOf(shape).word, at));
  const rowsOf = (word: string) => rows.get(word) ?? [];
  const pick = (candidates: readonly ShapeRow[]) => candidates[Math.floor(random() * candidates.length)];
  const more = (count: number): Map<string, ShapeRow[]> => {
    const made = new Map<string, ShapeRow[]>();
    for (const table of shape.tables) {
      const before = rowsOf(table.word);
      const isRoot = table.belongs === 'root';
      const wanted = isRoot ? (before.length === 0 ? ACCOUNTS : 0) : count * ACCOUNTS;
      const added: ShapeRow[] = [];
      for (let at = before.length; at < before.length + wanted; at += 1) {
        const account = accounts[at % ACCOUNTS] as string;
        added.push(makeRow(shape, table, at, account, { rowsOf, pick, accounts }));
      }
      made.set(table.word, added);
      rows.set(table.word, [...before, ...added]);
    }
    return made;
  };
  return { accounts, rows: more(perAccount), more };
}

interface Made {
  readonly rowsOf: (word: string) => readonly ShapeRow[];
  readonly pick: (candidates: readonly ShapeRow[]) => ShapeRow | undefined;
  readonly accounts: readonly string[];
}

function makeRow(shape: Shape, table: ShapeTable, at: number, wanted: string, made: Made): ShapeRow {
  const { style } = shape;
  const { rowsOf, pick } = made;
  const owner = ownerOf(shape, table);
  const values: Record<string, unknown> = {};
  const set = (word: string, value: unknown) => {
    values[style.columnName(word)] = value;
  };
  const ofAccount = (word: string) => rowsOf(word).filter(({ account }) => account === wanted);
  const isNull = ({ isNullable }: ShapeReference, place: number) =>
    isNullable && (at + place) % NULL_EVERY === NULL_EVERY - 1;
  let account: string | null = table.belongs === 'root' ? idOf(shape, table.word, at) : null;
  for (const [place, reference] of table.references.entries()) {
    const own = ofAccount(reference.to);
    const found = isNull(reference, place) ? undefined : pick(own.length > 0 ? own : rowsOf(reference.to));
    if (found === undefined && !reference.isNullable) throw new Error(`${table.word} has no ${reference.to}`);
    if (reference === owner) account = found?.account ?? null;
    set(`${reference.word}_id`, found?.id ?? null);
  }
  if (table.several.length > 0) {
    const to = table.several[Math.floor(at / ACCOUNTS) % table.several.length] as string;
    const found = pick(ofAccount(to));
    if (table.belongs === 'several') account = found?.account ?? null;
    set('subject_type', pascal(to));
    set('subject_id', found?.id ?? idOf(shape, to, 0));
  }
  const id = idOf(shape, table.word, at);
  set('id', id);
  set('title', `${table.word} ${at}: "ü, 名"\n\u2028'${String.fromCodePoint(0x1f600 + (at % 50))}'`);
  for (const word of valueColumns(shape, table)) set(word, cellOf(word, at));
  set('created_at', new Date(1_735_689_600_000 + at * 86_400_000).toISOString());
  return { id, account, values };
}

function cellOf(word: string, at: number): unknown {
  if (at % 4 === 3 && word !== 'is_enabled') return null;
  switch (word) {
    case 'amount':
      return `${at * 1234567}.${String(at % 100).padStart(2, '0')}`;
    case 'sort_order':
      return at - 3;
    case 'is_enabled':
      return at % 2 === 0;
    case 'metadata':
      return { at, deep: [{ 'a "b"': null }] };
    case 'labels':
      return at % 3 === 0 ? [] : ['a,b', 'c "d"', null];
    case 'due_on':
      return `2026-0${1 + (at % 9)}-11`;
    case 'ratio':
      return at / 7;
    case 'byte_count':
      return `900719925474099${at % 10}`;
    default:
      return `${word} ${at} \\ , ;`;
  }
}

function rootOf({ tables }: Shape): ShapeTable {
  return tables.find(({ belongs }) => belongs === 'root') as ShapeTable;
}

/** Numbers of different tables coincide, as they do in products. */
function idOf({ name, style }: Shape, word: string, at: number): string {
  if (style.idType === 'bigint') return String(at + 1);
  const hash = createHash('md5').update(`${name}.${word}.${at}`).digest('hex');
  if (style.idType === 'text') return `c${hash.slice(0, 24)}`;
  return hash.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** `sales_order` → `SalesOrder`. */
export function pascal(word: string): string {
  return word.replaceAll(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Inserts rows, parents before their children, in one transaction. */
export async function insertRows(
  db: Queryable,
  shape: Shape,
  rows: ReadonlyMap<string, readonly ShapeRow[]>,
): Promise<void> {
  const statements = shape.tables.flatMap((table) => {
    const own = rows.get(table.word) ?? [];
    if (own.length === 0) return [];
    const name = quoteTable(tableOf(shape, table));
    const json = quoteLiteral(JSON.stringify(own.map(({ values }) => values)));
    return [`insert into ${name} select * from json_populate_recordset(null::${name}, ${json})`];
  });
  await db.query(`begin; ${statements.join('; ')}; commit`);
}

/**
 * What a product does in a while: changes rows of each table, inserts further ones, deletes some that nothing refers to, and where
 * foreign keys cascade, one that others refer to.
 */
export async function changeRows(db: Queryable, shape: Shape, generated: ShapeRows): Promise<void> {
  const { style, tables } = shape;
  const id = quoteIdent(style.columnName('id'));
  const title = quoteIdent(style.columnName('title'));
  const referred = new Set(
    tables.flatMap(({ references, several }) => [...references.map(({ to }) => to), ...several]),
  );
  const deleteOne = (table: ShapeTable) => {
    const row = generated.rows.get(table.word)?.[0];
    return `delete from ${quoteTable(tableOf(shape, table))} where ${id} = ${quoteLiteral(row?.id ?? '')}`;
  };
  const updates = tables.map((table) => {
    const name = quoteTable(tableOf(shape, table));
    return `update ${name} set ${title} = ${title} || ' changed' where hashtext(${id}::text) % 2 = 0`;
  });
  await db.query(`begin; ${updates.join('; ')}; commit`);
  await insertRows(db, shape, generated.more(1));
  const leaves = tables.filter(({ word, belongs }) => belongs !== 'root' && !referred.has(word));
  const parent = tables.find(({ word, belongs }) => belongs === 'column' && referred.has(word));
  const deletes = [...leaves, ...(style.hasForeignKeys && parent !== undefined ? [parent] : [])].map(
    deleteOne,
  );
  await db.query(`begin; ${deletes.join('; ')}; commit`);
}
