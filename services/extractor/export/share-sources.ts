import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { type SharedSession, shareSession } from '../source/share-session.ts';
import type { OpenSourceSession, SessionOptions, SourceSession } from '../source/source-session.ts';
import { type HeldSnapshot, takeSnapshot } from './take-snapshot.ts';

/**
 * An export of so few rows, by the estimate at its submission, takes seconds, most of which it waits for the feed. Such exports have
 * places of their own: in those of large ones they would wait for hours, although chunks of both are read in turns.
 */
export const SMALL_EXPORT_ROWS = 100_000;

/** More at once only wait longer for each other. They share their sessions, so they cost the source no more than a large export or two. */
export const SMALL_EXPORTS_AT_ONCE = 16;

export function isSmallExport({ rowsEstimated }: Pick<ClaimedExport, 'rowsEstimated'>): boolean {
  return rowsEstimated !== null && rowsEstimated <= SMALL_EXPORT_ROWS;
}

/** A snapshot, and the session that holds it. Whoever has it disposes of the session, and never ends its transaction. */
export interface SharedSnapshot {
  readonly holder: SourceSession;
  readonly held: HeldSnapshot;
}

/**
 * What small exports of one process have in common, so that many at once cost the source little more than one: a session for their
 * seals, and snapshots. A snapshot that is taken for several exports was taken after each of them had asked for it, so it is as good
 * as one of its own. One that meets with an error may spoil the others' run; each is then run again by itself.
 */
export interface SharedSources {
  /** A session for what needs neither a transaction nor a snapshot. It was open before, and stays open, until its users are done. */
  openSealing(options: SessionOptions): Promise<SourceSession>;
  /**
   * Locks the tables and takes a snapshot, together with all who ask for the same while others are being taken.
   *
   * @returns undefined when it could not be taken for all: each is to take its own
   */
  takeSnapshot(tables: readonly TableName[], options: SessionOptions): Promise<SharedSnapshot | undefined>;
}

/** As old as a connection that is used again may be; who comes later gets another. */
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
      // Held here until all have theirs.
      await using own = shared.lend(() => undefined);
      const held = await takeSnapshot(own, requests[0]?.tables ?? [], new AbortController().signal, 1);
      return requests.map(({ options }) => ({ holder: shared.lend(options.onLost), held }));
    } catch (error) {
      log.info('snapshot.not_shared', { exports: requests.length, error });
      return undefined;
    }
  }

  // Only exports of the same tables: others would wait for statements that take longer than their own, and for locks.
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
