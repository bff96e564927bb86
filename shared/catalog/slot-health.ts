import type { Queryable } from '../postgres/queryable.ts';
import type { EnvReader } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import { defineMetrics, type Metrics } from '../runtime/metrics.ts';
import { runRounds } from '../runtime/run-rounds.ts';
import type { Worker } from '../runtime/worker.ts';

/** The state of a logical slot. Bytes are WAL. */
export interface SlotHealth {
  readonly plugin: string | null;
  readonly isOfThisDatabase: boolean;
  readonly isTemporary: boolean;
  readonly isActive: boolean;
  /** `reserved`, `extended`, `unreserved`, `lost`; null where nothing is known yet. */
  readonly walStatus: string | null;
  /** From PostgreSQL 16: why the slot is unusable. */
  readonly invalidationReason: string | null;
  /** WAL written since the position that capture has confirmed: how far the feed is behind. */
  readonly lagBytes: number;
  /** WAL retained on the server's disk for this slot. At least the lag; more while an old transaction is open. */
  readonly retainedBytes: number;
  /** WAL that can be written before the slot loses WAL. Null without `max_slot_wal_keep_size`. */
  readonly safeWalBytes: number | null;
}

/** The lag of a slot from which it is reported, and the lag from which it is acted on. */
export interface SlotThresholds {
  readonly warnBytes: number;
  readonly refuseBytes: number;
}

export type SlotState = 'ok' | 'warn' | 'refuse';

export interface SlotClass {
  readonly state: SlotState;
  /** Why it is not `ok`, for an operator; in order of weight. */
  readonly reasons: readonly string[];
}

/** Text casts and one JSON, so that the answer is the same whatever parsers the session has. */
const READ_SLOT_HEALTH = `
select json_build_object(
  'plugin', plugin,
  'isOfThisDatabase', database is not distinct from current_database(),
  'isTemporary', temporary,
  'isActive', active,
  'walStatus', wal_status,
  'invalidationReason', to_jsonb(s)->>'invalidation_reason',
  'lagBytes', greatest(0, pg_wal_lsn_diff(here.lsn, confirmed_flush_lsn)),
  'retainedBytes', greatest(0, pg_wal_lsn_diff(here.lsn, restart_lsn)),
  'safeWalBytes', safe_wal_size
)::text as facts
from pg_replication_slots s,
     (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn) here
where slot_name = $1`;

/** @returns undefined if the slot does not exist */
export async function readSlotHealth(db: Queryable, slotName: string): Promise<SlotHealth | undefined> {
  const { rows } = await db.query<{ facts: string }>(READ_SLOT_HEALTH, [slotName]);
  if (rows[0] === undefined) return undefined;
  const facts = JSON.parse(rows[0].facts) as SlotHealth;
  // Both are null for a slot that never had a position, which keeps nothing.
  return { ...facts, lagBytes: facts.lagBytes ?? 0, retainedBytes: facts.retainedBytes ?? 0 };
}

export function isSlotLost({ walStatus, invalidationReason }: SlotHealth): boolean {
  return walStatus === 'lost' || invalidationReason !== null;
}

/** Shares of `max_slot_wal_keep_size` that must be free. Below the smaller one the slot can soon be lost. */
const WARN_SAFE_SHARE = 0.5;
const REFUSE_SAFE_SHARE = 0.1;

/**
 * Classifies the WAL retained for the slot: by the thresholds, which protect the source's disk, and by what
 * `max_slot_wal_keep_size` leaves, which protects the slot. A threshold of 0 is off. A missing or lost slot is a warning here,
 * because refusing requests cannot help; capture reports *gap possible*.
 */
export function classifySlot(slot: SlotHealth | undefined, thresholds: SlotThresholds): SlotClass {
  if (slot === undefined) return { state: 'warn', reasons: ['the slot does not exist'] };
  if (isSlotLost(slot)) return { state: 'warn', reasons: ['the slot has lost its WAL'] };
  const refusals: string[] = [];
  const warnings: string[] = [];
  const { retainedBytes, safeWalBytes, walStatus } = slot;
  const kept = `the source keeps ${showBytes(retainedBytes)} of WAL for the slot`;
  if (isOver(retainedBytes, thresholds.refuseBytes))
    refusals.push(`${kept}: SLOT_REFUSE_BYTES is ${showBytes(thresholds.refuseBytes)}`);
  else if (isOver(retainedBytes, thresholds.warnBytes))
    warnings.push(`${kept}: SLOT_WARN_BYTES is ${showBytes(thresholds.warnBytes)}`);
  if (walStatus === 'unreserved')
    refusals.push('the slot is past max_slot_wal_keep_size, and lost at the next checkpoint');
  else if (safeWalBytes !== null) {
    const left = `${showBytes(Math.max(0, safeWalBytes))} of WAL are left before max_slot_wal_keep_size is reached`;
    const share = safeWalBytes / (safeWalBytes + retainedBytes);
    if (share < REFUSE_SAFE_SHARE) refusals.push(left);
    else if (share < WARN_SAFE_SHARE) warnings.push(left);
  }
  if (!slot.isActive) warnings.push('nobody reads the slot: capture is not running');
  const reasons = [...refusals, ...warnings];
  return { state: refusals.length > 0 ? 'refuse' : warnings.length > 0 ? 'warn' : 'ok', reasons };
}

function isOver(bytes: number, threshold: number): boolean {
  return threshold > 0 && bytes >= threshold;
}

export function showBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1_024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${power === 0 ? bytes : (bytes / 1_024 ** power).toFixed(1)} ${units[power]}`;
}

/** The state of the slot at the last poll that the source answered. */
export interface SlotReading extends SlotClass {
  /** Undefined if the slot does not exist. */
  readonly slot: SlotHealth | undefined;
  readonly seenAtMs: number;
}

/** Polls the slot while a service runs. */
export interface SlotWatch extends Worker {
  /** Undefined before the first poll, and when the last one is older than a minute. */
  latest(): SlotReading | undefined;
}

/** At 100 MB of WAL a second, half a gigabyte passes between two polls. */
const POLL_INTERVAL_MS = 5_000;
const STALE_AFTER_MS = 60_000;

const GIB = 1024 ** 3;

/** `SLOT_WARN_BYTES`, `SLOT_REFUSE_BYTES`. By default a source may keep 1 GB unremarked, as it does for itself, and 8 GB until it is acted on. */
export function readSlotThresholds(read: EnvReader): SlotThresholds {
  return {
    warnBytes: read.integer('SLOT_WARN_BYTES', { default: GIB, min: 0 }),
    refuseBytes: read.integer('SLOT_REFUSE_BYTES', { default: 8 * GIB, min: 0 }),
  };
}

/** Logs each change of the state. Other parts report a source that does not answer. */
export function createSlotWatch(
  source: Queryable,
  { slotName, thresholds }: { readonly slotName: string; readonly thresholds: SlotThresholds },
  { log, now }: { readonly log: Log; readonly now: () => number },
): SlotWatch {
  let reading: SlotReading | undefined;
  const poll = async () => {
    const slot = await readSlotHealth(source, slotName);
    const slotClass = classifySlot(slot, thresholds);
    if (slotClass.state !== (reading?.state ?? 'ok')) report(slotClass, slot);
    reading = { ...slotClass, slot, seenAtMs: now() };
  };
  const report = ({ state, reasons }: SlotClass, slot: SlotHealth | undefined) => {
    const write = { ok: log.info, warn: log.warn, refuse: log.error }[state];
    const { retainedBytes, lagBytes, safeWalBytes, walStatus } = slot ?? {};
    const remedy = state === 'ok' ? 'none needed' : 'see `tandem source status`';
    write('slot.state_changed', {
      slot: slotName,
      state,
      was: reading?.state ?? 'unknown',
      reasons,
      remedy,
      retainedBytes,
      lagBytes,
      safeWalBytes,
      walStatus,
    });
  };
  return {
    name: 'slot-watch',
    latest: () => (reading !== undefined && now() - reading.seenAtMs <= STALE_AFTER_MS ? reading : undefined),
    run(signal) {
      const onFailed = (error: unknown) => log.debug('slot.not_seen', { slot: slotName, error });
      return runRounds(poll, { restMs: POLL_INTERVAL_MS, onFailed }, signal);
    },
  };
}

export const SLOT_METRICS = defineMetrics({
  lag: {
    name: 'tandem_slot_lag_bytes',
    type: 'gauge',
    help: 'WAL that the feed has not processed.',
    normal: 'below 64 MB, more only during a bulk load',
  },
  retained: {
    name: 'tandem_slot_retained_bytes',
    type: 'gauge',
    help: 'WAL that the source retains on its disk for the slot.',
    normal: 'below SLOT_WARN_BYTES, 1 GiB by default',
  },
  safeWal: {
    name: 'tandem_slot_safe_wal_bytes',
    type: 'gauge',
    help: 'WAL that can be written before the slot may lose its WAL. Absent without max_slot_wal_keep_size.',
    normal: 'more than half of max_slot_wal_keep_size',
  },
  active: {
    name: 'tandem_slot_active',
    type: 'gauge',
    help: 'Whether capture reads the slot: 1 or 0.',
    normal: '1',
  },
  exists: {
    name: 'tandem_slot_exists',
    type: 'gauge',
    help: 'Whether the slot exists and has its WAL: 1 or 0.',
    normal: '1; 0 is a gap in the feed',
  },
  state: {
    name: 'tandem_slot_state',
    type: 'gauge',
    help: '0 ok, 1 warn, 2 refuse: new exports and bulk jobs are refused.',
    normal: '0',
  },
});

/** The slot as it was seen last; nothing at all while the source does not answer. */
export function addSlotMetrics(metrics: Metrics, watch: Pick<SlotWatch, 'latest'>): void {
  const ofReading = (read: (reading: SlotReading) => number | null | undefined) => () => {
    const reading = watch.latest();
    const value = reading && read(reading);
    return value == null ? [] : [{ value }];
  };
  const ofSlot = (read: (slot: SlotHealth) => number | null) => ofReading(({ slot }) => slot && read(slot));
  metrics.gauge(
    SLOT_METRICS.lag,
    ofSlot(({ lagBytes }) => lagBytes),
  );
  metrics.gauge(
    SLOT_METRICS.retained,
    ofSlot(({ retainedBytes }) => retainedBytes),
  );
  metrics.gauge(
    SLOT_METRICS.safeWal,
    ofSlot(({ safeWalBytes }) => safeWalBytes),
  );
  metrics.gauge(
    SLOT_METRICS.active,
    ofSlot(({ isActive }) => (isActive ? 1 : 0)),
  );
  metrics.gauge(
    SLOT_METRICS.exists,
    ofReading(({ slot }) => (slot === undefined || isSlotLost(slot) ? 0 : 1)),
  );
  metrics.gauge(
    SLOT_METRICS.state,
    ofReading(({ state }) => ({ ok: 0, warn: 1, refuse: 2 })[state]),
  );
}
