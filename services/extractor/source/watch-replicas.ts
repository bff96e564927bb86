import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { OpenSourceSession, SourceSession } from './source-session.ts';

/** The lag of the replicas that chunked exports read from. */
export interface ReplicaLag {
  /**
   * Seconds since each replica was level with the primary, in the order of the setting. Grows while a replica does not
   * respond.
   */
  seconds(): readonly number[];
}

export interface ReplicaLagOptions {
  /** The WAL position that the primary has written. */
  readonly primary: () => Promise<bigint>;
  /** The WAL position that each replica has replayed. */
  readonly replicas: readonly (() => Promise<bigint>)[];
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly onFailed: (replica: number, error: unknown) => void;
}

/** A position of the primary, and when it was read. */
interface Mark {
  readonly lsn: bigint;
  readonly atMs: number;
}

/**
 * Resolution of old marks, as a share of their age. Old marks are thinned out, so that a replica that stalls for days
 * costs a few hundred marks.
 */
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
 * Measures lag by positions of the primary, because a replica that is cut off reports that it has replayed everything
 * it received.
 *
 * @returns the lags, and `look`, which reads all positions once.
 * @throws what `primary` throws
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
      // Read before the position, so that the lag is never shown too small.
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
      // Marks that all replicas have passed are not needed any more.
      const passedMs = Math.min(...caughtUpAtMs);
      marks = marks.filter((mark) => mark.atMs >= passedMs);
    },
  };
}

/** Interval of the measurements, and the most by which the lag is shown too large. */
const LOOK_EVERY_MS = 5_000;

const STATEMENT_TIMEOUT_MS = 10_000;

export interface ReplicaWatchDeps {
  readonly openPrimary: OpenSourceSession;
  readonly openReplicas: readonly OpenSourceSession[];
  readonly now: () => number;
  readonly log: Log;
}

/** Measures the replicas while it runs. Only metrics depend on it. */
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

/** Reads a position of a server repeatedly, over one session while that lasts. */
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
