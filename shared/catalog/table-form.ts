import { createHash } from 'node:crypto';
import { z } from 'zod';
import { leaves, type Resource } from '../domain/catalog.ts';
import type { ResetReason } from '../domain/change.ts';
import { columnsOfFields, type PublicField } from '../domain/public-field.ts';
import { isVisible, parseSnapshot, type Snapshot } from '../domain/snapshot.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { identityNeeds } from './replica-identity.ts';
import { type ColumnFact, type FileFact, neededColumns, type TableFacts } from './table-facts.ts';
import { whereSql } from './where-sql.ts';

/**
 * What a resource's table was like at one moment, short enough to be kept with each state of the feed. Facts are kept as hashes.
 * What was added since then is told from what was altered by the transaction that wrote it: facts that the kept
 * snapshot sees have to give the kept hash.
 */
export type TableForm = z.infer<typeof formSchema>;

const formSchema = z.object({
  oid: z.number(),
  publication: z.string().nullable(),
  snapshot: z.string(),
  /** Columns with a higher number were added since. */
  columnCount: z.number(),
  columns: z.string(),
  /** Who last wrote the columns' descriptions; counts only when rows were moved to a new file. */
  versions: z.string(),
  types: z.string(),
  /** OIDs of the tables with rows. */
  members: z.string(),
  files: z.string(),
  /** By OID, where there are few; of a partitioned table with more, one that was rewritten can't be named. */
  fileOf: z.record(z.string(), z.number()).optional(),
  isIdentitySufficient: z.boolean(),
  hasChildren: z.boolean(),
});

/** What follows from two forms of one resource. */
export type FormChange =
  | { readonly kind: 'none' }
  /** Rows look the same: the newer form replaces the older one. */
  | { readonly kind: 'harmless' }
  | {
      readonly kind: 'reset';
      readonly reason: ResetReason;
      /** Rows have gone, and none has come or changed. */
      readonly isLossOnly?: boolean;
    }
  /** Depends on the rows of these tables, which have to be read. */
  | {
      readonly kind: 'unsure';
      readonly attached: readonly FileFact[];
      readonly rewritten: readonly FileFact[];
    };

/** A record of OIDs and file numbers is some 14 bytes each. */
const FEW_FILES = 20;

/** @param maxFiles maximum number of tables with rows that are listed one by one */
export function toTableForm(resource: Resource, facts: TableFacts, maxFiles = FEW_FILES): TableForm {
  const { oid, publication, snapshot, columnCount, files } = facts;
  const columns = watchedColumns(resource, facts);
  return {
    oid,
    publication: publication === null ? null : hash([publication]),
    snapshot,
    columnCount,
    columns: columnsHash(resource, columns),
    versions: hash(columns.map(({ version }) => version)),
    types: hash(facts.types.map(({ text }) => text).toSorted()),
    members: membersHash(files),
    files: filesHash(files),
    ...(files.length <= maxFiles && {
      fileOf: Object.fromEntries(files.map((each) => [each.oid, each.file])),
    }),
    isIdentitySufficient: insufficientFiles(resource, facts).length === 0,
    hasChildren: facts.childCount > 0,
  };
}

/** @returns undefined for an unreadable form, such as one of an earlier version */
export function parseTableForm(text: string): TableForm | undefined {
  try {
    return formSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** What has become of the table since `before`, as far as rows may show other values, or have come or gone, without an event. */
function compareForm(before: TableForm, resource: Resource, facts: TableFacts): FormChange {
  const now = toTableForm(resource, facts);
  const snapshot = parseSnapshot(before.snapshot);
  const see = (xid: number) => isVisible(widenBelow(xid, parseSnapshot(facts.snapshot)), snapshot);
  const reset = (reason: ResetReason) => ({ kind: 'reset' as const, reason });

  if (now.oid !== before.oid) return reset('table_replaced');
  if (now.publication !== before.publication) return reset('publication_changed');
  if (now.hasChildren !== before.hasChildren) return reset('partition_changed');
  const oldTypes = facts.types.filter(({ xid }) => xid === null || see(xid));
  if (hash(oldTypes.map(({ text }) => text).toSorted()) !== before.types) return reset('type_changed');

  const oldFiles = facts.files.filter(({ links }) => links.every(({ xid }) => see(xid)));
  const isMoved = filesHash(oldFiles) !== before.files;
  const columns = watchedColumns(resource, facts);
  const oldColumns = columns.filter(({ place }) => place <= before.columnCount);
  if (columnsHash(resource, oldColumns) !== before.columns)
    return reset(isMoved ? 'table_rewritten' : 'columns_changed');
  const added = columns.filter(({ place }) => place > before.columnCount);
  // A default that is not constant is written to each row, and so to a new file.
  if (added.some(({ hasMissing }) => hasMissing || isMoved)) return reset('column_added_with_default');
  const attached = facts.files.filter((file) => !oldFiles.includes(file) && !isBornInside(file));
  if (membersHash(oldFiles) !== before.members) {
    const isLossOnly = attached.length === 0 && movedFiles(before, oldFiles)?.length === 0;
    return { ...reset('partition_changed'), isLossOnly };
  }
  if (isMoved && hash(oldColumns.map(({ version }) => version)) !== before.versions)
    return reset('table_rewritten');
  if (now.isIdentitySufficient !== before.isIdentitySufficient && !before.isIdentitySufficient)
    return reset('record_unknown');

  // The WAL has the TRUNCATE of a plain table, but not that of a partition.
  const rewritten = facts.kind === 'p' && isMoved ? movedFiles(before, oldFiles) : [];
  if (rewritten === undefined) return reset('partition_changed');
  if (attached.length + rewritten.length > 0) return { kind: 'unsure', attached, rewritten };
  return isSameTableForm(before, now) ? { kind: 'none' } : { kind: 'harmless' };
}

/** Whether two forms are equal, regardless of their times. */
export function isSameTableForm(a: TableForm, b: TableForm): boolean {
  const { fileOf: _, ...one } = a;
  const { fileOf: __, ...other } = b;
  return JSON.stringify({ ...one, snapshot: '' }) === JSON.stringify({ ...other, snapshot: '' });
}

/** Whether the exposed columns have the same names and types, as changes-since exports need. */
export function hasSameColumns(before: TableForm, resource: Resource, facts: TableFacts): boolean {
  return columnsHash(resource, watchedColumns(resource, facts)) === before.columns;
}

/**
 * The tables whose rows do not say in the WAL what they were before. A leaf has a replica identity of its own, and a new one
 * has none to speak of.
 */
export function insufficientFiles(resource: Resource, { files }: TableFacts): readonly FileFact[] {
  const needed = identityNeeds(resource);
  const isAnyFull = files.some(({ identity }) => identity === 'f');
  return files.filter(
    ({ kind, persistence, identity, identityColumns }) =>
      kind !== 'r' ||
      persistence !== 'p' ||
      (identity !== 'f' && (isAnyFull || !needed.every((name) => identityColumns.includes(name)))),
  );
}

/** Those that are shown, and those that decide whose a row is, and whether it is shown. */
function watchedColumns(resource: Resource, { columns }: TableFacts): readonly ColumnFact[] {
  const needed = neededColumns(resource);
  const shows = ({ name }: ColumnFact) =>
    resource.fields === undefined ? leaves(resource, name) : columnsOfFields(resource.fields).includes(name);
  return columns.filter((column) => !column.isGenerated && (shows(column) || needed.includes(column.name)));
}

/** `varchar` values are shown as `text` values. */
const VARCHAR_OID = 1_043;
const TEXT_OID = 25;

/**
 * The length or precision of a type is left out: where it changes a value, the table is rewritten. A collation counts where it
 * decides which values are equal.
 */
function columnsHash(resource: Resource, columns: readonly ColumnFact[]): string {
  const needed = neededColumns(resource);
  if (resource.fields !== undefined) return publicColumnsHash(resource, resource.fields, columns);
  return hash([
    needed,
    columns.map(({ place, name, typeOid, collation }) => [
      place,
      name,
      typeOid === VARCHAR_OID ? TEXT_OID : typeOid,
      needed.includes(name) ? collation : 0,
      leaves(resource, name),
    ]),
    // With another filter, rows appear and disappear without a change.
    ...whereSql(resource, (column) => column, JSON.stringify),
  ]);
}

/** Columns by their places: one that is renamed, in the catalog too, is the same for customers. */
function publicColumnsHash(
  resource: Resource,
  fields: readonly PublicField[],
  columns: readonly ColumnFact[],
): string {
  const needed = neededColumns(resource);
  const placeOf = (name: string) => String(columns.find((column) => column.name === name)?.place ?? name);
  return hash([
    needed.map(placeOf),
    columns.map(({ place, name, typeOid, collation }) => [
      place,
      typeOid === VARCHAR_OID ? TEXT_OID : typeOid,
      needed.includes(name) ? collation : 0,
    ]),
    fields.map((field) => ('column' in field ? { ...field, column: placeOf(field.column) } : field)),
    ...whereSql(resource, placeOf, JSON.stringify),
  ]);
}

/** Whether a table has all columns that a catalog with fields needs. If not, the catalog is about to be adapted. */
export function hasFieldColumns(
  resource: Resource,
  { columns }: { readonly columns: readonly { readonly name: string }[] },
): boolean {
  if (resource.fields === undefined) return true;
  const needed = [...columnsOfFields(resource.fields), ...neededColumns(resource)];
  return needed.every((name) => columns.some((column) => column.name === name));
}

const membersHash = (files: readonly FileFact[]): string =>
  hash(files.map(({ oid, persistence, kind }) => [oid, persistence, kind]));

const filesHash = (files: readonly FileFact[]): string => hash(files.map(({ oid, file }) => [oid, file]));

/** Every row that it ever had was a change of the root: it was created as a partition of one that was, and so on. */
function isBornInside({ links, persistence, kind }: FileFact): boolean {
  return kind === 'r' && persistence === 'p' && links.every(({ isCreation }) => isCreation);
}

/** @returns undefined if the earlier files are unknown */
function movedFiles({ fileOf }: TableForm, files: readonly FileFact[]): readonly FileFact[] | undefined {
  return fileOf && files.filter(({ oid, file }) => fileOf[oid] !== file);
}

/** The 64-bit value of a catalog row's transaction: none is ahead of the snapshot that reads it, and an old one is of long ago. */
function widenBelow(xid: number, { xmax }: Snapshot): bigint {
  const span = 1n << 32n;
  const candidate = (xmax & ~(span - 1n)) | BigInt(xid);
  return candidate < xmax ? candidate : candidate - span;
}

/** Eight characters distinguish all forms that a table will ever have. */
function hash(facts: unknown): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('base64url').slice(0, 8);
}

/** What follows from two forms, once the rows in question were looked at. */
export type ClassifiedChange = Exclude<FormChange, { readonly kind: 'unsure' }>;

/** A file of no bytes never held a row since it was made. Asked of the server's present, whatever snapshot the session has. */
const HOLDS_ROWS = `select exists (select from unnest($1::oid[]) as f(oid) where pg_relation_size(f.oid) > 0)::text as found`;

const MAY_READ = `select has_table_privilege($1::oid, 'SELECT')::text as found`;

/**
 * Whether a row is there that was there before. `VACUUM FULL` and `CLUSTER` keep the transaction that wrote a row; a `TRUNCATE`
 * leaves no such row. Mostly the first row that is looked at is one.
 */
const hasSurvivor = (name: string): string => `
select exists (
  select from only ${name} t, pg_snapshot_xmax(pg_current_snapshot()) as now(xmax),
    lateral (select (now.xmax::text::int8 & ~4294967295::int8) | t.xmin::text::int8 as near) n
  where pg_visible_in_snapshot(
    (case when n.near < now.xmax::text::int8 then n.near else n.near - 4294967296 end)::text::xid8, $1::pg_snapshot)
)::text as found`;

/**
 * Compares as `compareForm` does, and looks at rows where the catalogs do not say enough. What can't be told apart is a reset:
 * a partition that was emptied looks as an empty one does after `VACUUM FULL`.
 */
export async function classifyFormChange(
  db: Pick<Queryable, 'query'>,
  before: TableForm,
  resource: Resource,
  facts: TableFacts,
): Promise<ClassifiedChange> {
  const change = compareForm(before, resource, facts);
  if (change.kind !== 'unsure') return change;
  const reset: ClassifiedChange = { kind: 'reset', reason: 'partition_changed' };
  if (await holdUnseenRows(db, change.attached)) return reset;
  for (const { oid, name } of change.rewritten) {
    if (!(await isFound(db, MAY_READ, [oid]))) return reset;
    if (!(await isFound(db, hasSurvivor(name), [before.snapshot]))) return { ...reset, isLossOnly: true };
  }
  return { kind: 'harmless' };
}

/** Whether tables that became partitions brought rows along, or take rows that no change tells. */
async function holdUnseenRows(db: Pick<Queryable, 'query'>, attached: readonly FileFact[]): Promise<boolean> {
  if (attached.some(({ kind, persistence }) => kind !== 'r' || persistence !== 'p')) return true;
  return attached.length > 0 && holdRows(db, attached);
}

/** Whether any of the tables holds rows, or did since it was last emptied. */
function holdRows(db: Pick<Queryable, 'query'>, files: readonly FileFact[]): Promise<boolean> {
  return isFound(db, HOLDS_ROWS, [files.map(({ oid }) => oid)]);
}

async function isFound(db: Pick<Queryable, 'query'>, sql: string, values: unknown[]): Promise<boolean> {
  const { rows } = await db.query<{ found: string }>(sql, values);
  return rows[0]?.found === 'true';
}
