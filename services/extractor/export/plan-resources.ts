import type { PlannedChunk } from '../../../shared/control/exports/export-run.ts';
import { readTableSizes, rowsPerChunk } from '../plan/chunk-size.ts';
import { type ChunkPlan, type PlannedResource, planChunks, planSmall } from '../plan/plan-chunks.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';

/** Resources counted by one statement. They are read while the next group is counted. */
const GROUP_RESOURCES = 50;

/** Chunks that were planned together. */
export interface PlannedGroup {
  readonly chunks: readonly PlannedChunk[];
  /** Each chunk is its whole resource, so planning ahead creates at most one chunk per resource. */
  readonly areWhole: boolean;
}

/** Plans a changes-since or as-of export by the keys of events. */
export interface KeyPlanner {
  plan(selection: RowSelection, rowsPerChunk: number): AsyncGenerator<ChunkPlan>;
}

/**
 * Plans all resources of an export: small tables, of at most one chunk, in groups, the others one by one and only as
 * far as the caller consumes. Resources without rows have no chunks. Needs exclusive use of the session.
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
    if (chunks.length > 0) yield { chunks, areWhole: true };
  }
  for (const { selection, rowsPerChunk: perChunk } of large) {
    for await (const plan of planChunks(session, selection, perChunk)) {
      yield { chunks: [{ resource: selection.resource.name, ...plan }], areWhole: false };
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
      yield { chunks: [{ resource: selection.resource.name, ...plan }], areWhole: false };
    }
  }
}

async function sizeResources(
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
