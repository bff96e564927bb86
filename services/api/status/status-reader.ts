import type { Pool } from 'pg';
import type { OwnSessions } from '../../../shared/catalog/open-transactions.ts';
import { listProcesses, type ProcessRow } from '../../../shared/control/processes.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { readSource, type SourceDeps } from '../admin/source-routes.ts';
import { findBottlenecks, type StatusFacts } from './bottlenecks.ts';
import type { GroupLag } from './consumer-lag.ts';
import { describeBottleneck } from './describe-bottleneck.ts';
import { readDeliveries, readQueues } from './queues.ts';
import type { Status } from './response.ts';

export interface StatusDeps extends SourceDeps {
  readonly pool: Pool;
  /** The sessions of Tandem on the source. Rejects when the source does not respond. */
  readonly ownSessions: () => Promise<OwnSessions>;
  /** Rejects when Kafka does not respond. */
  readonly consumerLag: () => Promise<GroupLag[]>;
  readonly log: Log;
  readonly now: () => number;
}

/** A reading serves everybody who asks within this time. */
const KEPT_MS = 2_000;

/** Lag is asked of each partition's broker, and changes slowly. */
const LAG_KEPT_MS = 10_000;

/** There may be a million, and what an operator does about them takes minutes. */
const DELIVERIES_KEPT_MS = 10_000;

/** A broker that is out of reach must not hold up what is known of everything else. */
const LAG_WAIT_MS = 1_500;

/** Four reports of a process. */
const SILENT_SECONDS = 20;

/**
 * Reads the status once for all who ask, whatever their number: one set of statements in two seconds, and none while nobody
 * asks. A part that does not respond is null, and the others are shown.
 */
export function createStatusReader(deps: StatusDeps): () => Promise<Status> {
  const { log, now } = deps;
  const orNull = async <Part>(name: string, reading: Promise<Part>): Promise<Part | null> => {
    try {
      return await reading;
    } catch (error) {
      log.warn('status.not_read', { part: name, error });
      return null;
    }
  };
  const lag = patiently(
    keep(() => orNull('consumers', deps.consumerLag()), LAG_KEPT_MS, now),
    LAG_WAIT_MS,
  );
  const deliveries = keep(() => readDeliveries(deps.pool), DELIVERIES_KEPT_MS, now);
  const queuesNow = async () => {
    const [all, failed] = await Promise.all([readQueues(deps.pool), deliveries()]);
    return { ...all, deliveries: failed };
  };
  return keep(
    async () => {
      const [source, sessions, rows, queues, consumers] = await Promise.all([
        orNull('source', readSource(deps)),
        orNull('sessions', deps.ownSessions()),
        orNull('processes', listProcesses(deps.pool)),
        orNull('queues', queuesNow()),
        lag(),
      ]);
      const at = new Date(now()).toISOString();
      const facts: StatusFacts = {
        source,
        processes: rows === null ? null : withCapture(rows.map(presentProcess), sessions, at),
        held_transactions:
          sessions?.transactions.map(({ pid, ageSeconds, application, state, holdsVacuum }) => ({
            pid,
            age_seconds: ageSeconds,
            application,
            state,
            holds_vacuum: holdsVacuum,
          })) ?? null,
        held_xmin_age: sessions?.xminAge ?? null,
        consumers,
        queues,
      };
      const bottlenecks = findBottlenecks(facts).map((each) => ({
        ...each,
        detail: describeBottleneck(each),
      }));
      return { at, bottlenecks, ...facts };
    },
    KEPT_MS,
    now,
  );
}

type Process = NonNullable<Status['processes']>[number];

function presentProcess({ startedAt, seenAt, isReady, silentSeconds, ...identity }: ProcessRow): Process {
  return {
    ...identity,
    started_at: startedAt.toISOString(),
    seen_at: seenAt.toISOString(),
    state: silentSeconds > SILENT_SECONDS ? 'silent' : isReady ? 'ready' : 'starting',
  };
}

/**
 * Capture that needs no control store has no row: it is listed by its session on the source. A second one, which waits, then
 * has no sign of life.
 */
function withCapture(listed: Process[], sessions: OwnSessions | null, at: string): Process[] {
  const since = sessions?.slotReadSince;
  const isListed = listed.some(({ service, state }) => service === 'capture' && state !== 'silent');
  if (since === undefined || isListed) return listed;
  return [
    ...listed,
    {
      id: 'slot',
      service: 'capture',
      version: null,
      host: null,
      pid: null,
      started_at: since.toISOString(),
      seen_at: at,
      state: 'ready',
    },
  ];
}

/** One reading at a time, and none while the last one is young enough. One that failed is not kept. */
function keep<Value>(read: () => Promise<Value>, keptMs: number, now: () => number): () => Promise<Value> {
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<Value> | undefined;
  let isReading = false;
  return () => {
    if (reading !== undefined && (isReading || now() - readAtMs < keptMs)) return reading;
    isReading = true;
    reading = read().then(
      (value) => {
        isReading = false;
        readAtMs = now();
        return value;
      },
      (error: unknown) => {
        isReading = false;
        reading = undefined;
        throw error;
      },
    );
    return reading;
  };
}

/** Waits for a reading no longer than this: then it is what the last one was, or null. */
function patiently<Value>(read: () => Promise<Value | null>, waitMs: number): () => Promise<Value | null> {
  let last: Value | null = null;
  return async () => {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, waitMs);
    const reading = read().then((value) => {
      last = value;
    });
    await Promise.race([reading, late.promise]);
    clearTimeout(timer);
    return last;
  };
}
