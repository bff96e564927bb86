import type { Catalog } from '../../../shared/domain/catalog.ts';
import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Subjects } from '../../../shared/protocol/names.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { changeMessages } from '../changes/change-messages.ts';
import { createBatch } from '../changes/collect-changes.ts';
import { resetFor } from '../changes/row-changes.ts';
import { describeForReset } from '../changes/tables.ts';
import type { CaptureProgress } from './capture-progress.ts';
import type { Publisher } from './publisher.ts';

export interface GapDeps {
  readonly source: Queryable;
  readonly catalog: Catalog;
  readonly changesPartitionCount: number;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<number>;
  readonly subjects: Subjects;
  readonly log: Log;
}

/**
 * Tells every account that each resource needs a new export, in the feed's own order: just before what the slot still
 * gives. Published together with the new position, so that it is told exactly once.
 */
export async function announceGap(
  progress: CaptureProgress,
  publisher: Publisher,
  { catalog, changesPartitionCount, log, ...deps }: GapDeps,
): Promise<CaptureProgress> {
  const batch = createBatch();
  // The last byte that the slot does not give any more: after all that was published, before all that will be.
  const commitLsn = progress.passedLsn - 1n;
  for (const [index, resource] of catalog.resources.entries()) {
    const table = await describeForReset(resource, { ...deps, catalogName: catalog.name });
    const place = {
      lsn: commitLsn,
      commitLsn,
      xid: 0n,
      index,
      committedAtMicros: BigInt(Date.now()) * 1_000n,
      bulkJobId: null,
    };
    const change = { ...resetFor('changes_lost'), resource: resource.name, source: place };
    batch.changes.push(...changeMessages(table, change, changesPartitionCount));
  }
  const announced = { ...progress, lastCommitLsn: commitLsn, lastIndex: catalog.resources.length - 1 };
  await publisher.publish(batch, announced);
  log.warn('gap.accepted', {
    passedLsn: formatLsn(progress.passedLsn),
    resourceCount: catalog.resources.length,
  });
  return announced;
}
