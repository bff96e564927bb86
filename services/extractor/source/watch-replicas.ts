import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { OpenSourceSession, SourceSession } from './source-session.ts';

/** How late the replicas are that chunked exports read from. */
export interface ReplicaLag {
  /** Seconds since each replica was level with the primary, in the order of the setting. It grows while one does not respond. */
  seconds(): readonly number[];
}

export interface ReplicaLagOptions {
  /** How far the primary has written its WAL. */
  readonly primary: () => Promise<bigint>;
  /** How far each replica has replayed it. */
  readonly replicas: readonly (() => Promise<bigint>)[];
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly onFailed: (replica: number, error: unknown) => void;
}

/** A position of the primary, and when it was read. */
interface Mark {
  readonly lsn: bigint;
  readonly atMs: number;
}

/** Old marks are thinned out, so that a replica that stands still for days costs some hundred: its lag is known this closely. */
const CLOSENESS = 0.1;

/** @param marks in order of time */
function thinned(marks: readonly Mark[], nowMs: number): Mark[] {
  const kept: Mark[] = [];
  for (const [index, mark] of marks.entries()) {
    const [before, after] = [kept.at(-1), marks[index + 1]];
    const isNeeded =
      before === undefined ||
      after === undefined ||
      after.atMs - before.atMs > (nowMs - mark.atMs) * CLOSENESS;
    if (isNeeded) kept.push(mark);
  }
  return kept;
}

/**
 * Measures by positions of the primary, not by the replica's own word: a replica that is cut off says that it has replayed
 * everything that it has received.
 *
 * @returns the lags, and `look`, which reads all positions once. @throws what `primary` throws
 */
export function createReplicaLag({ primary, replicas, now, onFailed }: ReplicaLagOptions): ReplicaLag & {
  look(): Promise<void>;
} {
  const startedAtMs = now();
  let marks: Mark[] = [];
  /** When each replica last had everything. */
  const caughtUpAtMs = replicas.map(() => startedAtMs);
  return {
    seconds: () => caughtUpAtMs.map((atMs) => (now() - atMs) / 1_000),
    async look() {
      // Its time is from before the position is read, so that the lag is not shown too small.
      const atMs = now();
      marks = thinned([...marks, { lsn: await primary(), atMs }], atMs);
      await Promise.all(
        replicas.map(async (replayed, replica) => {
          try {
            const lsn = await replayed();
            const mark = marks.findLast((each) => each.lsn <= lsn);
            if (mark !== undefined) caughtUpAtMs[replica] = Math.max(caughtUpAtMs[replica] ?? 0, mark.atMs);
          } catch (error) {
            onFailed(replica, error);
          }
        }),
      );
      // What all replicas have passed is asked for no more.
      const passedMs = Math.min(...caughtUpAtMs);
      marks = marks.filter((mark) => mark.atMs >= passedMs);
    },
  };
}

/** The lag is shown this much too large at most. */
const LOOK_EVERY_MS = 5_000;

const STATEMENT_TIMEOUT_MS = 10_000;

export interface ReplicaWatchDeps {
  readonly openPrimary: OpenSourceSession;
  readonly openReplicas: readonly OpenSourceSession[];
  readonly now: () => number;
  readonly log: Log;
}

/** Looks at the replicas as long as it runs. Nothing depends on it but metrics. */
export function createReplicaWatch({
  openPrimary,
  openReplicas,
  now,
  log,
}: ReplicaWatchDeps): ReplicaLag & Worker {
  const positions = [
    keptPosition(openPrimary, 'pg_current_wal_lsn()'),
    ...openReplicas.map((open) => keptPosition(open, 'pg_last_wal_replay_lsn()')),
  ];
  const [primary, ...replicas] = positions;
  if (primary === undefined) throw new Error('there is always a primary');
  const onFailed = (replica: number, error: unknown) =>
    log.warn('replica.not_seen', { replica: replica + 1, error });
  const lag = createReplicaLag({
    primary: primary.read,
    replicas: replicas.map(({ read }) => read),
    now,
    onFailed,
  });
  return {
    name: 'replica-watch',
    seconds: lag.seconds,
    async run(signal) {
      const failed = (error: unknown) => log.warn('replicas.not_watched', { error });
      await runRounds(lag.look, { restMs: LOOK_EVERY_MS, onFailed: failed }, signal);
      for (const { close } of positions) await close();
    },
  };
}

/** Reads a position of a server again and again, over one session as long as that lasts. */
function keptPosition(open: OpenSourceSession, position: string) {
  let kept: SourceSession | undefined;
  const close = async () => {
    await kept?.[Symbol.asyncDispose]();
    kept = undefined;
  };
  return {
    close,
    async read(): Promise<bigint> {
      try {
        kept ??= await open({
          purpose: 'replica watch',
          statementTimeoutMs: STATEMENT_TIMEOUT_MS,
          onLost: () => undefined,
        });
        const { rows } = await kept.query(`select (${position} - '0/0'::pg_lsn)::text as bytes`);
        const bytes = rows[0]?.bytes;
        if (bytes == null) throw new Error('the server gave no position');
        return BigInt(bytes);
      } catch (error) {
        await close();
        throw error;
      }
    },
  };
}
