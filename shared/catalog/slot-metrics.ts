import type { Metrics } from '../runtime/metrics.ts';
import type { SlotHealth } from './slot-health.ts';
import type { SlotReading, SlotWatch } from './slot-watch.ts';

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
