import { createHash } from 'node:crypto';
import { ownerColumns, type Resource, type TableName, whereColumns } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import { findTable, type IdentityIndex, type Relation, type TableDescription } from './describe-table.ts';
import { showTable } from './parse-table-name.ts';

/**
 * What the WAL says of a row before its change. An index costs some bytes for each update; FULL writes the whole old row, with
 * every large value, and tells more. `auto`: FULL where rows are narrow, else an index; `resolveWishes` decides.
 */
export type IdentityWish = 'auto' | 'index' | 'full';

/** What it comes to for one resource. Those with `rather` leave alone what is enough for the feed, and say what it becomes else. */
export type ResourceWish = Exclude<IdentityWish, 'auto'> | 'rather_index' | 'rather_full';

/** From this version, UPDATE and DELETE fail if the replica identity has a generated column that is not published. */
const REFUSES_GENERATED_SINCE = 180_000;

export type IdentityTarget = 'full' | readonly string[];

/** A fault of one relation's replica identity, and the statements that correct it. Empty if an operator has to decide. */
export interface IdentityProblem {
  readonly relation: Relation;
  readonly reason: string;
  readonly steps: readonly string[];
  /** The identity after the steps: whole rows, or these columns. */
  readonly target: IdentityTarget;
  /** For the operator: what to do if no statement is safe to run automatically. */
  readonly advice?: string;
}

/**
 * The WAL must have the old row's key and account for a delete and for an update that changes either. Each partition writes its
 * own WAL, so each is checked. If one is FULL, all must be: changes sent through the root carry the root's mark, so a full old
 * row and one with key columns only would look alike.
 *
 * No proposed statement makes the product's own writes fail.
 */
export function planIdentity(
  resource: Resource,
  table: TableDescription,
  versionNumber: number,
  wish: ResourceWish = 'rather_full',
): IdentityProblem[] {
  const relations = table.relations.filter(({ kind }) => kind !== 'f');
  const needed = identityNeeds(resource);
  const generated = table.columns.filter(({ isGenerated }) => isGenerated).map(({ name }) => name);
  // Refused on older servers too: they accept it, but writes would fail after their upgrade.
  const mayBeFull = generated.length === 0;
  const isAnyFull = relations.some(isFull);
  const reasonOf = (relation: Relation): string | undefined => {
    const unpublished = generated.filter((column) => isFull(relation) || isCarried(relation, column));
    if (unpublished.length > 0 && versionNumber >= REFUSES_GENERATED_SINCE) {
      return (
        `has the generated column${unpublished.length > 1 ? 's' : ''} ${unpublished.join(', ')} in it: ` +
        "PostgreSQL 18 refuses the product's own UPDATE and DELETE of a published table for that."
      );
    }
    if (wish === 'full' && mayBeFull && !isFull(relation)) return 'is not FULL, as was asked for.';
    if (isFull(relation)) {
      const isOther = wish === 'index' && findCheaperIdentity(resource, table) !== undefined;
      return isOther ? 'is FULL, and an index was asked for.' : undefined;
    }
    const absent = needed.filter((column) => !isCarried(relation, column));
    if (absent.length > 0) {
      return `does not carry ${absent.join(', ')}: a delete could not be routed to its account.`;
    }
    return isAnyFull ? 'is not FULL as in the rest of its partitioned table.' : undefined;
  };
  const faulty = relations.flatMap((relation) => {
    const reason = reasonOf(relation);
    return reason === undefined ? [] : [{ relation, reason }];
  });
  if (faulty.length === 0) return [];

  const goesOnFull =
    mayBeFull && relations.some((relation) => isFull(relation) && reasonOf(relation) === undefined);
  const prefersFull = mayBeFull && (wish === 'full' || wish === 'rather_full');
  const columns = prefersFull ? undefined : sharedIndex(relations, needed, generated);
  if (columns !== undefined && !goesOnFull) {
    // All of them, so every partition has the identity of its root.
    const reasons = new Map(faulty.map(({ relation, reason }) => [relation, reason]));
    return relations
      .filter((relation) => reasons.has(relation) || !isSame(relation.identityColumns, columns))
      .map((relation) => ({
        relation,
        reason: reasons.get(relation) ?? 'is another one than in the rest of its partitioned table.',
        steps: [useIndex(relation, indexOver(relation, columns)?.name ?? '')],
        target: columns,
      }));
  }
  const mayIndex =
    (wish === 'index' && mayBeIndexed(table, needed)) ||
    (wish === 'rather_index' && !goesOnFull && newIndexSteps(table, needed) !== undefined);
  if (mayBeFull && !mayIndex) {
    return faulty.map((problem) => ({ ...problem, steps: [useFull(problem.relation)], target: 'full' }));
  }
  return [byNewIndex(table, needed, generated, faulty[0])];
}

/** The statements that create and use an index for an identity. Undefined if the table cannot get one automatically. */
function newIndexSteps(table: TableDescription, columns: readonly string[]): string[] | undefined {
  const relation = table.relations[0];
  if (relation === undefined || table.relations.length > 1 || !mayBeIndexed(table, columns)) return undefined;
  const name = indexName(table, columns);
  const index = quoteTable({ schema: table.schema, name });
  return [
    // Left by an interrupted build, and useless.
    ...(table.invalidIndexes.includes(name) ? [`DROP INDEX CONCURRENTLY ${index}`] : []),
    `CREATE UNIQUE INDEX CONCURRENTLY ${quoteIdent(name)} ON ${quoteTable(table)} (${columns.map(quoteIdent).join(', ')})`,
    useIndex(relation, name),
  ];
}

function byNewIndex(
  table: TableDescription,
  needed: readonly string[],
  generated: readonly string[],
  faulty: { readonly relation: Relation; readonly reason: string } | undefined,
): IdentityProblem {
  const relation = faulty?.relation ?? (table.relations[0] as Relation);
  const reason = faulty?.reason ?? '';
  const list = needed.map(quoteIdent).join(', ');
  const steps = newIndexSteps(table, needed);
  if (steps !== undefined) return { relation, reason, steps, target: needed };
  const inKey = needed.filter((column) => generated.includes(column));
  const nullable = needed.filter((name) => table.columns.some((one) => one.name === name && !one.isNotNull));
  const full = `FULL is not possible with the generated column${generated.length > 1 ? 's' : ''} ${generated.join(', ')}`;
  const advice =
    inKey.length > 0
      ? `${full}, and ${inKey.join(', ')} can't be in an index's identity either: leave the table out of the catalog.`
      : nullable.length > 0
        ? `${full}, and an index's identity takes no column that may be null: make ${nullable.join(', ')} NOT NULL, or leave ` +
          'the table out of the catalog.'
        : `${full}, and an index of a partitioned table is made while its rows can't be written: run at a quiet moment ` +
          `CREATE UNIQUE INDEX ON ${quoteTable(table)} (${list}), and then source prepare again.`;
  return { relation, reason, steps: [], target: needed, advice };
}

/** Whether as-of exports are possible: they need the old row of each update in the WAL. */
export function tellsOldRows({ asOf }: Resource, table: TableDescription): boolean {
  return asOf !== false && table.relations.filter(({ kind }) => kind !== 'f').every(isFull);
}

/** Columns that a replica identity must carry: account, key, and those that decide whether the account sees the row. */
export function identityNeeds(resource: Resource): string[] {
  return [...new Set([...resource.key, ...ownerColumns(resource), ...whereColumns(resource)])];
}

/** For tables that are or become FULL although an index would be enough. */
export function findCheaperIdentity(
  resource: Resource,
  table: TableDescription,
): readonly string[] | undefined {
  const needed = identityNeeds(resource);
  if (!table.relations.some(isFull)) return undefined;
  const generated = table.columns.filter(({ isGenerated }) => isGenerated).map(({ name }) => name);
  const columns = sharedIndex(table.relations, needed, generated);
  if (columns === undefined) return newIndexSteps(table, needed);
  return table.relations.map((relation) => useIndex(relation, indexOver(relation, columns)?.name ?? ''));
}

/** The columns of the narrowest index that can be the identity and that every relation of the table has. */
function sharedIndex(
  relations: readonly Relation[],
  needed: readonly string[],
  generated: readonly string[],
): readonly string[] | undefined {
  const candidates = (relations[0]?.identityIndexes ?? [])
    .map(({ columns }) => columns)
    .filter((columns) => needed.every((column) => columns.includes(column)))
    .filter((columns) => !columns.some((column) => generated.includes(column)))
    .sort((a, b) => a.length - b.length);
  return candidates.find((columns) =>
    relations.every((relation) => indexOver(relation, columns) !== undefined),
  );
}

function indexOver(relation: Relation, columns: readonly string[]): IdentityIndex | undefined {
  return relation.identityIndexes.find((index) => isSame(index.columns, columns));
}

function mayBeIndexed(table: TableDescription, columns: readonly string[]): boolean {
  return columns.every((name) =>
    table.columns.some((column) => column.name === name && column.isNotNull && !column.isGenerated),
  );
}

/** Always the same for the same table and columns, so a second run finds the index of the first. */
function indexName({ schema, name }: TableName, columns: readonly string[]): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([schema, name, columns]))
    .digest('hex')
    .slice(0, 12);
  return `tandem_identity_${hash}`;
}

const isFull = ({ replicaIdentity }: Relation) => replicaIdentity === 'f';

const isCarried = ({ identityColumns }: Relation, column: string) => identityColumns.includes(column);

const useFull = (relation: Relation) => `ALTER TABLE ONLY ${quoteTable(relation)} REPLICA IDENTITY FULL`;

const useIndex = (relation: Relation, index: string) =>
  `ALTER TABLE ONLY ${quoteTable(relation)} REPLICA IDENTITY USING INDEX ${quoteIdent(index)}`;

const isSame = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((value) => b.includes(value));

/** A problem in words. */
export function showIdentityProblem({ relation, reason, advice }: IdentityProblem): string {
  return `the replica identity of ${showTable(relation)} ${reason}${advice === undefined ? '' : ` ${advice}`}`;
}

/**
 * Up to about this width PostgreSQL writes the whole new row at each update, so FULL at most doubles the WAL. Wider rows have
 * TOAST values, which only FULL writes again at an update that does not change them.
 */
const WIDE_ROW_BYTES = 2_048;

/** Tolerance for a partly empty last page. A table of one page always counts as narrow. */
const PAGE_BYTES = 8_192;

interface Measure {
  readonly schema: string;
  readonly name: string;
  readonly bytes: number;
  /** Size of the TOAST table. */
  readonly toastBytes: number;
  /** From the density at the last ANALYZE, as the planner computes it. 0: unknown. */
  readonly rows: number;
}

/** Each table's parts are found by their OIDs: a search among all relations for each would be quadratic. */
const MEASURE = `
SELECT coalesce(json_agg(json_build_object(
  'schema', wanted."schema", 'name', wanted."name", 'bytes', size.bytes, 'toastBytes', size.toast_bytes, 'rows', size.rows
)), '[]')::text AS measures
FROM json_to_recordset($1::json) AS wanted("schema" text, "name" text)
JOIN pg_namespace n ON n.nspname = wanted."schema"
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted."name"
CROSS JOIN LATERAL (
  SELECT coalesce(sum(greatest(pg_relation_size(r.oid) - ${PAGE_BYTES}, 0)), 0) AS bytes,
    coalesce(sum(pg_relation_size(nullif(r.reltoastrelid, 0))), 0) AS toast_bytes,
    coalesce(sum(CASE WHEN r.reltuples > 0 AND r.relpages > 0
      THEN r.reltuples::float8 * pg_relation_size(r.oid) / ${PAGE_BYTES} / r.relpages END), 0) AS rows
  FROM (
    SELECT c.oid AS relid WHERE c.relkind = 'r'
    UNION ALL
    SELECT relid FROM pg_partition_tree(CASE WHEN c.relkind = 'p' THEN c.oid END)
  ) member
  JOIN pg_class r ON r.oid = member.relid AND r.relkind = 'r'
) size`;

/**
 * Decides the new replica identity of each resource that needs one: by the catalog's `as_of`, then by the requested identity, then by
 * the width of the rows.
 */
export async function resolveWishes(
  db: Queryable,
  resources: readonly Resource[],
  tables: readonly TableDescription[],
  asked: IdentityWish,
): Promise<ReadonlyMap<string, ResourceWish>> {
  const open = asked === 'auto' ? resources.filter(({ asOf }) => asOf === undefined) : [];
  const wide = await findWide(
    db,
    open.flatMap(({ table }) => findTable(tables, table) ?? []),
  );
  return new Map(
    resources.map((resource) => {
      const { name, table, asOf } = resource;
      if (asOf === true) return [name, 'full'];
      if (asOf === false) return [name, asked === 'index' ? 'index' : 'rather_index'];
      if (asked !== 'auto') return [name, asked];
      return [name, wide.has(showTable(table)) ? 'rather_index' : 'rather_full'];
    }),
  );
}

async function findWide(db: Queryable, tables: readonly TableDescription[]): Promise<ReadonlySet<string>> {
  if (tables.length === 0) return new Set();
  const wanted = JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })));
  const { rows } = await db.query<{ measures: string }>(MEASURE, [wanted]);
  const measures = JSON.parse(rows[0]?.measures ?? '[]') as Measure[];
  return new Set(measures.filter(isWide).map(showTable));
}

function isWide({ bytes, toastBytes, rows }: Measure): boolean {
  return rows > 0 ? (bytes + toastBytes) / rows > WIDE_ROW_BYTES : toastBytes > 0;
}
