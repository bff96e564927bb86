import type { PlannedChunk } from '../../../shared/control/exports/export-run.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import type { SourceSession } from '../source/source-session.ts';
import type { RowSelection } from './row-selection.ts';
import { countsQuery, type KeyBounds, keysQuery } from './row-selection.ts';

/** A range of one resource's rows, counted by a cursor under the snapshot. Chunks are in key order and complete. */
export interface ChunkPlan extends KeyBounds {
  /** From 0. */
  readonly chunk: number;
  readonly rows: number;
}

/**
 * Cuts the selected rows into chunks of `rowsPerChunk`. The cursor walks the keys inside the server and returns one key per
 * chunk. So exact counts and bounds need no transfer, for any type, collation or skew of the key. It reads only as far as the
 * caller consumes. Without rows there are no chunks.
 */
export async function* planChunks(
  session: SourceSession,
  selection: RowSelection,
  rowsPerChunk: number,
): AsyncGenerator<ChunkPlan> {
  const keys = keysQuery(selection);
  cursorCount += 1;
  const cursor = `tandem_keys_${cursorCount}`;
  await session.query(`declare ${cursor} no scroll cursor without hold for ${keys.text}`, keys.values);
  let lowerKey: ChunkPlan['lowerKey'] = null;
  for (let chunk = 0; ; chunk += 1) {
    const skipped = (await session.query(`move forward ${rowsPerChunk - 1} in ${cursor}`)).rowCount;
    const { rows } = await session.query(`fetch 1 from ${cursor}`);
    const last = rows[0];
    if (last === undefined) {
      if (skipped > 0) yield { chunk, lowerKey, upperKey: null, rows: skipped };
      break;
    }
    const upperKey = keyTexts(selection, last);
    yield { chunk, lowerKey, upperKey, rows: skipped + 1 };
    lowerKey = upperKey;
  }
  await session.query(`close ${cursor}`);
}

/** Several exports may plan in one transaction, each with a cursor of its own. */
let cursorCount = 0;

/** Where a plan continues: the number of the next chunk, and the greatest key before it. */
export interface PlanStart {
  readonly chunk: number;
  readonly lowerKey: readonly string[] | null;
}

/** The limits of a step, which ends at the first of them. */
export interface StepLimits {
  readonly ms: number;
  readonly chunks: number;
}

/**
 * Cuts rows into chunks like `planChunks`, but in short transactions: no snapshot is held between two steps. The last
 * chunk has no upper bound and may be empty, so the chunks cover every key that may ever exist. The row counts are
 * estimates.
 *
 * @returns whether the chunks reach the end
 */
export async function planStep(
  session: SourceSession,
  { selection, rowsPerChunk: perChunk }: PlannedResource,
  start: PlanStart,
  limits: StepLimits,
): Promise<{ readonly plans: readonly ChunkPlan[]; readonly isWhole: boolean }> {
  const until = Date.now() + limits.ms;
  const plans: ChunkPlan[] = [];
  let { chunk, lowerKey } = start;
  let isWhole = false;
  await session.query('begin isolation level repeatable read, read only');
  const keys = keysQuery(selection, { lowerKey, upperKey: null });
  await session.query(`declare tandem_keys no scroll cursor without hold for ${keys.text}`, keys.values);
  while (!isWhole && plans.length < limits.chunks && (plans.length === 0 || Date.now() < until)) {
    const skipped = (await session.query(`move forward ${perChunk - 1} in tandem_keys`)).rowCount;
    const { rows } = await session.query('fetch 1 from tandem_keys');
    isWhole = rows[0] === undefined;
    const upperKey = rows[0] === undefined ? null : keyTexts(selection, rows[0]);
    plans.push({ chunk, lowerKey, upperKey, rows: isWhole ? skipped : skipped + 1 });
    chunk += 1;
    lowerKey = upperKey;
  }
  await session.query('commit');
  return { plans, isWhole };
}

function keyTexts(
  { resource }: RowSelection,
  row: Readonly<Record<string, string | null>>,
): readonly string[] {
  return resource.key.map((column) => {
    const text = row[column];
    if (text == null) throw new Error(`the key column ${column} of ${resource.name} holds a null`);
    return text;
  });
}

/** A resource to plan, and the number of rows per chunk. */
export interface PlannedResource {
  readonly selection: RowSelection;
  readonly rowsPerChunk: number;
}

/**
 * Plans several resources that probably have one chunk each, in one statement, because round trips dominate the cost of small
 * resources. Without rows there are no chunks. The plan of a resource with more than one chunk of rows is undefined.
 */
async function planSmall(
  session: SourceSession,
  planned: readonly PlannedResource[],
): Promise<readonly (readonly ChunkPlan[] | undefined)[]> {
  const { text, values } = countsQuery(
    planned.map(({ selection, rowsPerChunk }) => ({ selection, limit: rowsPerChunk + 1 })),
  );
  const { rows } = await session.query(text, values);
  return planned.map(({ rowsPerChunk }, index) => {
    const rowCount = Number(rows[0]?.[`n${index}`]);
    if (rowCount > rowsPerChunk) return undefined;
    return rowCount === 0 ? [] : [{ chunk: 0, lowerKey: null, upperKey: null, rows: rowCount }];
  });
}

/** Size and row count of a table with its partitions and TOAST, as of its last ANALYZE. */
export interface TableSize {
  readonly bytes: number;
  /** Negative if the table was never analyzed. */
  readonly rowCount: number;
}

/** With fewer rows the cost of a session per chunk would show. The rows of a bloated table seem wider than they are. */
const MIN_ROWS = 1_000;
/** For rows so wide that a thousand of them are far more than a chunk. */
const MIN_WIDE_ROWS = 100;
const MAX_BYTES_OF_MIN_ROWS = 50_000_000;
const MAX_ROWS = 50_000;

/** For a table that was never analyzed. A high guess, which makes chunks smaller. */
const UNKNOWN_ROW_BYTES = 500;

/**
 * Rows per chunk of about `chunkBytes`. Small chunks repeat little when a reader dies, and let several extractors share a
 * table. Large chunks need fewer sessions.
 */
export function rowsPerChunk({ bytes, rowCount }: TableSize, chunkBytes: number): number {
  const rowBytes = rowCount > 0 && bytes > 0 ? bytes / rowCount : UNKNOWN_ROW_BYTES;
  const minRows = Math.min(MIN_ROWS, Math.max(MIN_WIDE_ROWS, Math.round(MAX_BYTES_OF_MIN_ROWS / rowBytes)));
  return Math.min(MAX_ROWS, Math.max(minRows, Math.round(chunkBytes / rowBytes)));
}

/** The sizes of several tables in one statement, in their order. */
async function readTableSizes(
  session: SourceSession,
  tables: readonly TableName[],
): Promise<readonly TableSize[]> {
  const { rows } = await session.query(
    `select coalesce(sum(pg_table_size(c.oid)), 0)::text as bytes, coalesce(sum(c.reltuples)::bigint, -1)::text as row_count
     from unnest($1::regclass[]) with ordinality as w(oid, place)
     left join lateral (
       select w.oid as relid union select p.relid from pg_partition_tree(w.oid) p
     ) part on true
     left join pg_class c on c.oid = part.relid and c.relkind = 'r'
     group by w.place order by w.place`,
    [tables.map(quoteTable)],
    'read_table_sizes',
  );
  return rows.map(({ bytes, row_count: rowCount }) => ({ bytes: Number(bytes), rowCount: Number(rowCount) }));
}

/** Resources counted by one statement. They are read while the next group is counted. */
const GROUP_RESOURCES = 50;

/** Chunks that were planned together. */
export interface PlannedGroup {
  readonly chunks: readonly PlannedChunk[];
  /** Each chunk is its whole resource, so planning ahead creates at most one chunk per resource. */
  readonly areWhole: boolean;
  /** True once it is known that no more chunks follow. */
  readonly areLast: boolean;
}

/** Plans a changes-since or as-of export by the keys of events. */
export interface KeyPlanner {
  plan(selection: RowSelection, rowsPerChunk: number): AsyncGenerator<ChunkPlan>;
}

/**
 * Plans all resources of an export: small tables, of at most one chunk, in groups, the others one by one and only as
 * far as the caller consumes. Resources without rows have no chunks.
 */
export async function* planResources(
  session: SourceSession,
  selections: readonly RowSelection[],
  chunkBytes: number,
): AsyncGenerator<PlannedGroup> {
  const planned = await sizeResources(session, selections, chunkBytes);
  const large: PlannedResource[] = planned.filter(({ bytes }) => bytes > chunkBytes);
  const small = planned.filter(({ bytes }) => bytes <= chunkBytes);
  for (let from = 0; from < small.length; from += GROUP_RESOURCES) {
    const group = small.slice(from, from + GROUP_RESOURCES);
    const plans = await planSmall(session, group);
    const chunks = group.flatMap(({ selection }, index) =>
      (plans[index] ?? []).map((plan) => ({ resource: selection.resource.name, ...plan })),
    );
    large.push(...group.filter((_, index) => plans[index] === undefined));
    const areLast = large.length === 0 && from + GROUP_RESOURCES >= small.length;
    if (chunks.length > 0) yield { chunks, areWhole: true, areLast };
  }
  for (const { selection, rowsPerChunk: perChunk } of large) {
    for await (const plan of planChunks(session, selection, perChunk)) {
      yield { chunks: [{ resource: selection.resource.name, ...plan }], areWhole: false, areLast: false };
    }
  }
}

/** Plans the resources one by one, only as far as the caller consumes. */
export async function* planByKeys(
  session: SourceSession,
  selections: readonly RowSelection[],
  chunkBytes: number,
  planner: KeyPlanner,
): AsyncGenerator<PlannedGroup> {
  for (const { selection, rowsPerChunk: perChunk } of await sizeResources(session, selections, chunkBytes)) {
    for await (const plan of planner.plan(selection, perChunk)) {
      yield { chunks: [{ resource: selection.resource.name, ...plan }], areWhole: false, areLast: false };
    }
  }
}

/** How many rows a chunk of each resource has. */
export async function sizeResources(
  session: SourceSession,
  selections: readonly RowSelection[],
  chunkBytes: number,
): Promise<readonly (PlannedResource & { readonly bytes: number })[]> {
  const sizes = await readTableSizes(
    session,
    selections.map(({ resource }) => resource.table),
  );
  return selections.map((selection, index) => {
    const size = sizes[index] ?? { bytes: 0, rowCount: -1 };
    return { selection, bytes: size.bytes, rowsPerChunk: rowsPerChunk(size, chunkBytes) };
  });
}
