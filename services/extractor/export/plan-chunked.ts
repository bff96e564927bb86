import { readPlannedUpTo } from '../../../shared/control/exports/chunked-reading.ts';
import { type ChunkPlan, type PlanStart, planStep, sizeResources } from '../plan/plan-chunks.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import {
  addPlanned,
  type RunExportConfig,
  type RunExportDeps,
  type RunHandle,
  type WaitWhile,
} from './run-parts.ts';

/**
 * Limits of a planning step. A step holds a snapshot, and chunks planned long before their read fit the rows less well.
 */
const PLAN_STEP = { ms: 2_000, chunks: 100 };

/** Limit of passes. If it is not enough, rows are added faster than they are read. */
const PLAN_PASSES = 5;

/**
 * Plans what no earlier run has planned, a window at a time. A resource's last chunk has no upper bound, so rows added
 * behind it after its read count as changed records of that chunk. It is planned once all other chunks are read and
 * fewer rows than fill a chunk were added in that time.
 */
export async function planAll(
  run: RunHandle,
  planner: SourceSession,
  selections: readonly RowSelection[],
  waitWhile: WaitWhile,
  { chunkBytes, chunkWindow }: RunExportConfig,
  deps: RunExportDeps,
): Promise<void> {
  const planned = await readPlannedUpTo(deps.control, run.claim.id);
  const sized = (await sizeResources(planner, selections, chunkBytes)).filter(
    ({ selection }) => planned.get(selection.resource.name)?.isWhole !== true,
  );
  const starts = new Map(
    [...planned].map(([name, { nextChunk, lowerKey }]) => [name, { chunk: nextChunk, lowerKey }]),
  );
  const add = (name: string, plans: readonly ChunkPlan[]) =>
    addPlanned(
      run,
      null,
      plans.map((plan) => ({ resource: name, ...plan })),
      deps,
    );
  for (let pass = 1; ; pass += 1) {
    const ends = new Map<string, ChunkPlan>();
    let boundedCount = 0;
    for (const resource of sized) {
      const { name } = resource.selection.resource;
      while (!ends.has(name)) {
        const start: PlanStart = starts.get(name) ?? { chunk: 0, lowerKey: null };
        const letSnapshotGo = deps.holdSnapshot();
        const step = await planStep(planner, resource, start, {
          ...PLAN_STEP,
          chunks: Math.min(PLAN_STEP.chunks, chunkWindow),
        }).finally(letSnapshotGo);
        const end = step.isWhole ? step.plans.at(-1) : undefined;
        const bounded = end === undefined ? step.plans : step.plans.slice(0, -1);
        const last = bounded.at(-1);
        if (last !== undefined) starts.set(name, { chunk: last.chunk + 1, lowerKey: last.upperKey });
        if (bounded.length > 0) await add(name, bounded);
        boundedCount += bounded.length;
        if (end !== undefined) ends.set(name, end);
        else await waitWhile(({ openChunkCount }) => openChunkCount >= chunkWindow);
      }
    }
    if (boundedCount > 0) await waitWhile(({ openChunkCount }) => openChunkCount > 0);
    if (boundedCount > 0 && pass < PLAN_PASSES) continue;
    for (const [name, end] of ends) await add(name, [end]);
    return;
  }
}
