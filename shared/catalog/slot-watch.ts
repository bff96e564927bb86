import type { Queryable } from '../postgres/queryable.ts';
import type { EnvReader } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import { sleep } from '../runtime/sleep.ts';
import type { Worker } from '../runtime/worker.ts';
import {
  judgeSlot,
  readSlotHealth,
  type SlotHealth,
  type SlotThresholds,
  type SlotVerdict,
} from './slot-health.ts';

/** What was seen at the last look that the source answered. */
export interface SlotSight extends SlotVerdict {
  /** Undefined when there is no such slot. */
  readonly slot: SlotHealth | undefined;
  readonly seenAtMs: number;
}

/** Looks after the slot all the time a service runs. */
export interface SlotWatch extends Worker {
  /** Undefined before the first look, and once the source has not answered for so long that nobody can know. */
  latest(): SlotSight | undefined;
}

/** A WAL of 100 MB/s, which is a lot, comes by half a gigabyte until the next look. */
const LOOK_INTERVAL_MS = 5_000;
const STALE_AFTER_MS = 60_000;

const GIB = 1024 ** 3;

/** `SLOT_WARN_BYTES`, `SLOT_REFUSE_BYTES`. By default a source may keep 1 GB unremarked, as it does for itself, and 8 GB until it is acted on. */
export function readSlotThresholds(read: EnvReader): SlotThresholds {
  return {
    warnBytes: read.integer('SLOT_WARN_BYTES', { default: GIB, min: 0 }),
    refuseBytes: read.integer('SLOT_REFUSE_BYTES', { default: 8 * GIB, min: 0 }),
  };
}

/** Each change of the state is one log line; a source that does not answer is others' to tell of. */
export function createSlotWatch(
  source: Queryable,
  { slotName, thresholds }: { readonly slotName: string; readonly thresholds: SlotThresholds },
  { log, now }: { readonly log: Log; readonly now: () => number },
): SlotWatch {
  let sight: SlotSight | undefined;
  const look = async () => {
    const slot = await readSlotHealth(source, slotName);
    const verdict = judgeSlot(slot, thresholds);
    if (verdict.state !== (sight?.state ?? 'ok')) tell(verdict, slot);
    sight = { ...verdict, slot, seenAtMs: now() };
  };
  const tell = ({ state, reasons }: SlotVerdict, slot: SlotHealth | undefined) => {
    const write = { ok: log.info, warn: log.warn, refuse: log.error }[state];
    const { retainedBytes, lagBytes, safeWalBytes, walStatus } = slot ?? {};
    const remedy = state === 'ok' ? 'none needed' : 'see `tandem source status`';
    write('slot.state_changed', {
      slot: slotName,
      state,
      was: sight?.state ?? 'unknown',
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
    latest: () => (sight !== undefined && now() - sight.seenAtMs <= STALE_AFTER_MS ? sight : undefined),
    async run(signal) {
      while (!signal.aborted) {
        await look().catch((error: unknown) => log.debug('slot.not_seen', { slot: slotName, error }));
        await sleep(LOOK_INTERVAL_MS, signal);
      }
    },
  };
}
