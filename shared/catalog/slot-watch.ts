import type { Queryable } from '../postgres/queryable.ts';
import type { EnvReader } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { runRounds } from '../runtime/run-rounds.ts';
import type { Worker } from '../runtime/worker.ts';
import {
  classifySlot,
  readSlotHealth,
  type SlotClass,
  type SlotHealth,
  type SlotThresholds,
} from './slot-health.ts';

/** The state of the slot at the last poll that the source answered. */
export interface SlotReading extends SlotClass {
  /** Undefined when there is no such slot. */
  readonly slot: SlotHealth | undefined;
  readonly seenAtMs: number;
}

/** Polls the slot while a service runs. */
export interface SlotWatch extends Worker {
  /** Undefined before the first poll, and once the last one is older than a minute. */
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

/** The slot as it was seen last; nothing at all while the source does not answer. */
export function addSlotMetrics(metrics: Metrics, watch: Pick<SlotWatch, 'latest'>): void {
  const ofReading = (read: (reading: SlotReading) => number | null | undefined) => () => {
    const reading = watch.latest();
    const value = reading && read(reading);
    return value == null ? [] : [{ value }];
  };
  const ofSlot = (read: (slot: SlotHealth) => number | null) => ofReading(({ slot }) => slot && read(slot));
  metrics.gauge(
    'tandem_slot_lag_bytes',
    'WAL that the feed has not passed.',
    ofSlot(({ lagBytes }) => lagBytes),
  );
  metrics.gauge(
    'tandem_slot_retained_bytes',
    'WAL that the source keeps on its disk for the slot.',
    ofSlot(({ retainedBytes }) => retainedBytes),
  );
  metrics.gauge(
    'tandem_slot_safe_wal_bytes',
    'WAL that may be written before max_slot_wal_keep_size endangers the slot.',
    ofSlot(({ safeWalBytes }) => safeWalBytes),
  );
  metrics.gauge(
    'tandem_slot_active',
    'Whether capture reads the slot.',
    ofSlot(({ isActive }) => (isActive ? 1 : 0)),
  );
  metrics.gauge(
    'tandem_slot_state',
    '0 ok, 1 warn, 2 refuse: new exports and bulk jobs are refused.',
    ofReading(({ state }) => ({ ok: 0, warn: 1, refuse: 2 })[state]),
  );
}
