import {
  classifySlot,
  isSlotLost,
  type SlotHealth,
  type SlotThresholds,
} from '../../shared/catalog/slot-health.ts';
import { quoteLiteral } from '../../shared/postgres/quote.ts';

/** A feed that moves tells so at least every ten seconds, by its heartbeat. */
const STANDING_STILL_SECONDS = 60;

/** What is wrong with the slot, each with what mends it. Empty when all is well. */
export function slotFindings(
  name: string,
  slot: SlotHealth | undefined,
  thresholds: SlotThresholds,
  feedAgeSeconds: number | undefined,
): string[] {
  const drop = `SELECT pg_drop_replication_slot(${quoteLiteral(name)});`;
  if (slot === undefined) {
    return [
      `the slot ${name} does not exist. Run: tandem source prepare. If capture has run before, it will then say what is lost.`,
    ];
  }
  const findings: string[] = [];
  if (slot.plugin !== 'pgoutput' || !slot.isOfThisDatabase || slot.isTemporary) {
    const what = slot.isOfThisDatabase
      ? `of the plugin ${slot.plugin}${slot.isTemporary ? ', and temporary' : ''}`
      : "another database's";
    findings.push(
      `the slot ${name} is ${what}, and not the feed's: set another SLOT_NAME, or drop it. Run: ${drop}`,
    );
  }
  if (isSlotLost(slot)) {
    const why = slot.invalidationReason ?? 'it was past max_slot_wal_keep_size';
    findings.push(
      `the slot ${name} has lost its WAL (${why}): the feed has a gap. Raise max_slot_wal_keep_size, run: ${drop} then: tandem source prepare, ` +
        'and start capture, which says how to go on; subscribers need new exports.',
    );
    return findings;
  }
  const { state, reasons } = classifySlot(slot, thresholds);
  for (const reason of reasons) findings.push(`${reason}. ${remedyOf(slot)}`);
  if (state === 'refuse') {
    findings.push(
      'new exports and bulk jobs are refused until the feed has caught up. If the disk is about to fill and nothing else helps, ' +
        `give the feed up for now: ${drop} Every subscriber needs a new export then.`,
    );
  }
  if (slot.isActive && feedAgeSeconds !== undefined && feedAgeSeconds > STANDING_STILL_SECONDS) {
    findings.push(
      `the feed has not moved for ${Math.round(feedAgeSeconds)} s although capture holds the slot: read the logs of capture and ` +
        'dispatcher; Kafka may be away, or the source in the middle of one very large transaction.',
    );
  }
  return findings;
}

function remedyOf({ isActive, retainedBytes, lagBytes }: SlotHealth): string {
  if (!isActive) return 'Start capture (npm run start:capture), and read its last log lines if it ends.';
  // What was confirmed is kept all the same: decoding must be able to begin where the oldest open transaction does.
  if (retainedBytes > 2 * lagBytes) {
    return (
      'Most of it is kept for a transaction that is still open. Find it: SELECT pid, xact_start, state, query FROM pg_stat_activity ' +
      'WHERE xact_start IS NOT NULL ORDER BY xact_start; and: SELECT * FROM pg_prepared_xacts;'
    );
  }
  return 'Capture reads more slowly than is written: check that Kafka is well and capture has a CPU of its own, and wait.';
}
