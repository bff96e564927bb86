import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { type SharedSession, shareSession } from '../source/share-session.ts';
import type { OpenSourceSession, SessionOptions, SourceSession } from '../source/source-session.ts';
import { type HeldSnapshot, takeSnapshot } from './take-snapshot.ts';

/**
 * Row limit of a small export, by the estimate at its submission. It takes seconds, mostly waiting for the feed. Small
 * exports have their own limit of concurrency: with that of large ones they would wait for hours, although chunks of
 * both take turns.
 */
export const SMALL_EXPORT_ROWS = 100_000;

/**
 * Limit of concurrent small exports. More would only wait longer for each other. They share sessions, so they cost the
 * source no more than one or two large exports.
 */
export const SMALL_EXPORTS_AT_ONCE = 16;

export function isSmallExport({ rowsEstimated }: Pick<ClaimedExport, 'rowsEstimated'>): boolean {
  return rowsEstimated !== null && rowsEstimated <= SMALL_EXPORT_ROWS;
}

/** A snapshot with the session that holds it. The user disposes of the session, and never ends its transaction. */
export interface SharedSnapshot {
  readonly holder: SourceSession;
  readonly held: HeldSnapshot;
}

/**
 * Sessions and snapshots that the small exports of one process share, so that many cost the source little more than
 * one. A shared snapshot is taken after each of its exports asked for it, so it is as good as one of its own. An error
 * of one export may end the runs of the others; each is then run again without sharing.
 */
export interface SharedSources {
  /**
   * Opens a session for statements that need neither a transaction nor a snapshot. It stays open until its users are
   * done.
   */
  openSealing(options: SessionOptions): Promise<SourceSession>;
  /**
   * Locks the tables and takes a snapshot, together with all that ask for the same tables while other snapshots are
   * being taken.
   *
   * @returns undefined when it could not be taken for all: each then takes its own
   */
  takeSnapshot(tables: readonly TableName[], options: SessionOptions): Promise<SharedSnapshot | undefined>;
}

/** Age at which a shared session gets no new users, like a connection that is reused. */
const SEALING_AGE_MS = 60_000;

interface SnapshotRequest {
  readonly tables: readonly TableName[];
  readonly options: SessionOptions;
}

export function createSharedSources(openSession: OpenSourceSession, log: Log): SharedSources {
  let sealing: { readonly session: Promise<SharedSession>; readonly openedAtMs: number } | undefined;

  function currentSealing(statementTimeoutMs: number): Promise<SharedSession> {
    if (sealing !== undefined && performance.now() - sealing.openedAtMs < SEALING_AGE_MS) {
      return sealing.session;
    }
    const openAndForget: OpenSourceSession = (options) =>
      openSession({
        ...options,
        onLost(error) {
          forget();
          options.onLost(error);
        },
      });
    const session = shareSession(
      openAndForget,
      { purpose: 'seals of small exports', statementTimeoutMs },
      async () => forget(),
    );
    const opened = { session, openedAtMs: performance.now() };
    const forget = () => {
      if (sealing === opened) sealing = undefined;
    };
    session.catch(forget);
    sealing = opened;
    return session;
  }

  async function takeForAll(requests: readonly SnapshotRequest[]): Promise<SharedSnapshot[] | undefined> {
    const purpose = `snapshot of ${requests.length} small exports`;
    const statementTimeoutMs = Math.max(...requests.map(({ options }) => options.statementTimeoutMs));
    try {
      const shared = await shareSession(openSession, { purpose, statementTimeoutMs }, async (session) => {
        await session.query('commit');
      });
      // Held here until every export has its share.
      await using own = shared.lend(() => undefined);
      const held = await takeSnapshot(own, requests[0]?.tables ?? [], new AbortController().signal, 1);
      return requests.map(({ options }) => ({ holder: shared.lend(options.onLost), held }));
    } catch (error) {
      log.info('snapshot.not_shared', { exports: requests.length, error });
      return undefined;
    }
  }

  // Shared only by exports of the same tables: with others they would wait for longer statements and more locks.
  const takeTogether = createGather(async (requests: readonly SnapshotRequest[]) => {
    const found = new Map<SnapshotRequest, SharedSnapshot>();
    const groups = Map.groupBy(requests, ({ tables }) => JSON.stringify(tables));
    await Promise.all(
      [...groups.values()].map(async (group) => {
        const taken = await takeForAll(group);
        for (const [index, request] of group.entries()) {
          const one = taken?.[index];
          if (one !== undefined) found.set(request, one);
        }
      }),
    );
    return requests.map((request) => found.get(request));
  });

  return {
    openSealing: async ({ statementTimeoutMs, onLost }) =>
      (await currentSealing(statementTimeoutMs)).lend(onLost),
    takeSnapshot: (tables, options) => takeTogether({ tables, options }),
  };
}
