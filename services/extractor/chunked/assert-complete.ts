import type { Pool } from 'pg';
import { type ReadSince, readSeenSnapshots } from '../../../shared/control/exports/chunked-reading.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { isOutOfOrder } from '../../../shared/control/routes.ts';
import { type Catalog, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { parseSnapshot } from '../../../shared/domain/snapshot.ts';
import { cutFeed } from '../as-of/open-as-of.ts';
import { areRoutesSince, assertNotSetAside, assertSameCatalog } from '../changes-since/completeness.ts';
import { SingleSnapshotNeededError } from '../extraction-errors.ts';
import { type FactsByResource, type FormsByResource, isSameTable } from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';
import { findResetSince } from './changed-records.ts';

/** A chunked export with all rows read and its seal arrived. */
export interface ReadExport {
  readonly since: ReadSince;
  /** Of the tables, including those of parents, when the read started. */
  readonly tableForms: FormsByResource;
  /** `xmin:xmax:xip,…` of the snapshot at its end. */
  readonly snapshot: string;
  /** Under that snapshot. */
  readonly facts: FactsByResource;
  readonly resources: readonly Resource[];
  /** The exported resources and those that determine their accounts. */
  readonly tablesRead: readonly Resource[];
  /** Null: the files show the state of the snapshot. */
  readonly asOf: string | null;
}

export interface AssertCompleteDeps {
  readonly control: Pool;
  readonly catalog: Catalog;
  readonly session: SourceSession;
}

/**
 * Events can decide only if they are complete. Call it once everything up to the seal is recorded.
 *
 * @throws SingleSnapshotNeededError when some may be missing
 * @throws ExportFailedError when capture has another catalog, or skipped changes
 */
export async function assertComplete(
  claim: ClaimedExport,
  read: ReadExport,
  deps: AssertCompleteDeps,
): Promise<void> {
  const { control, session } = deps;
  const { since, tableForms, snapshot, facts, resources, asOf } = read;
  if (asOf !== null) await cutFeed(control, claim, asOf, resources);
  const reset = await findResetSince(control, claim, snapshot);
  if (reset !== undefined) {
    throw new SingleSnapshotNeededError(
      `At ${reset.at}, ${reset.resource} was truncated, or changes may have been lost.`,
    );
  }
  await assertNotSetAside(control, claim, since.startLsn);
  await assertSameCatalog(control, claim, resources, since.startLsn);
  for (const resource of read.tablesRead) {
    const before = tableForms[resource.name];
    if (before !== undefined && (await isSameTable(session, before, resource, facts.get(resource.name)))) {
      continue;
    }
    throw new SingleSnapshotNeededError(
      `The table of ${resource.name} was altered while its rows were read.`,
    );
  }
  await assertSameAccounts(claim, read, deps);
}

/**
 * A record's account by its parents follows from its own events and from resets. The exception: a snapshot sees the
 * changes of a record and of a parent in another order than they were committed.
 *
 * @throws SingleSnapshotNeededError
 */
async function assertSameAccounts(
  { id }: ClaimedExport,
  { since, resources }: ReadExport,
  { control, catalog }: AssertCompleteDeps,
): Promise<void> {
  const children = resources.filter((resource) => parentOf(resource) !== undefined).map(({ name }) => name);
  if (children.length === 0) return;
  if (!(await areRoutesSince(control, catalog, since.snapshot, resources))) {
    throw new SingleSnapshotNeededError(
      `The accounts of ${children.join(', ')} were read again from their parents while rows were read.`,
    );
  }
  const beginning = {
    snapshot: parseSnapshot(since.snapshot),
    from: parseLsn(since.startLsn),
    to: parseLsn(since.lsn),
  };
  const seen = await readSeenSnapshots(control, id, children);
  if (seen !== undefined && !(await isOutOfOrder(control, [beginning, ...seen]))) return;
  throw new SingleSnapshotNeededError(
    `Records of ${children.join(', ')} and their parents changed at the moment when rows were read.`,
  );
}
