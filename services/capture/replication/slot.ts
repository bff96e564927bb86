import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';

export interface SlotStatus {
  readonly plugin: string;
  /** False for a logical slot of another database. */
  readonly isOfThisDatabase: boolean;
  readonly isTemporary: boolean;
  /** The process that streams from it; null when none does. */
  readonly activePid: number | null;
  /** The server cannot send all changes any more: it removed WAL, or invalidated the slot for another reason. */
  readonly isLost: boolean;
  readonly confirmedFlushLsn: Lsn;
}

/** Another process streams from the slot: a second instance is on standby until it is free. */
export class SlotHeldError extends Error {
  override readonly name = 'SlotHeldError';
  readonly activePid: number | null;

  constructor(slotName: string, activePid: number | null) {
    super(`slot ${slotName} is held by another process`);
    this.activePid = activePid;
  }
}

interface SlotRow {
  plugin: string | null;
  is_here: string;
  temporary: string;
  active_pid: string | null;
  lost: string;
  confirmed_flush_lsn: string | null;
}

/** Text casts, so that the answer is the same whatever parsers the session has. */
const READ_SLOT = `
select plugin::text,
       (database is not distinct from current_database())::text as is_here,
       temporary::text,
       active_pid::text,
       (coalesce(wal_status, '') = 'lost'
         or to_jsonb(s)->>'invalidation_reason' is not null)::text as lost,
       confirmed_flush_lsn::text
from pg_replication_slots s where slot_name = $1`;

/** @returns undefined when there is no such slot */
export async function readSlot(db: Queryable, slotName: string): Promise<SlotStatus | undefined> {
  const { rows } = await db.query<SlotRow>(READ_SLOT, [slotName]);
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    plugin: row.plugin ?? '(none, a physical slot)',
    isOfThisDatabase: row.is_here === 'true',
    isTemporary: row.temporary === 'true',
    activePid: row.active_pid === null ? null : Number(row.active_pid),
    isLost: row.lost === 'true',
    confirmedFlushLsn: parseLsn(row.confirmed_flush_lsn ?? '0/0'),
  };
}

/** @throws SetupError for a slot that can't be streamed from as a feed, whatever its state */
export function checkSlotKind(slotName: string, slot: SlotStatus): void {
  const findings: string[] = [];
  if (slot.plugin !== 'pgoutput') findings.push(`its plugin is ${slot.plugin}, needed is pgoutput`);
  if (!slot.isOfThisDatabase) findings.push('it belongs to another database of the server');
  if (slot.isTemporary) findings.push('it is temporary, and would be gone with its session');
  if (findings.length === 0) return;
  throw new SetupError(`the replication slot ${slotName} is not usable`, [
    ...findings,
    'set another SLOT_NAME, or drop the slot, and run `tandem source prepare`',
  ]);
}
