import type { Pool } from 'pg';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf, type Caller } from '../http/caller.ts';

/** Readers poll every second, so the audit log gets one entry per key, hour and process. */
const RECORD_EVERY_MS = 3_600_000;
const MAX_RECORDED_READERS = 10_000;

/** Records in the audit log that somebody reads the account's events. */
export type RecordRead = (accountId: string, caller: Caller) => Promise<void>;

export function createReadRecorder({ pool, now }: { pool: Pool; now: () => number }): RecordRead {
  const recordedAtMs = new Map<string, number>();
  return async (accountId, caller) => {
    const actor = actorOf(caller);
    const reader = `${accountId} ${actor}`;
    if (now() - (recordedAtMs.get(reader) ?? Number.NEGATIVE_INFINITY) < RECORD_EVERY_MS) return;
    await recordAudit(pool, { accountId, actor, action: 'events.read', subjectId: accountId });
    if (recordedAtMs.size >= MAX_RECORDED_READERS) recordedAtMs.clear();
    recordedAtMs.set(reader, now());
  };
}
