import type { Resource } from '../../../shared/domain/catalog.ts';
import type { ChangeSource, DecodedChange } from '../../../shared/domain/change.ts';
import type { RecordedEvent } from './recorded-event.ts';
import { createResetRenderer } from './render-event.ts';

/** Behind what is lost, as far as it is known. */
export type LostPlace = Pick<ChangeSource, 'lsn' | 'commitLsn' | 'committedAtMicros'>;

/**
 * Tells each account that changes of it were lost, nobody knows which: it needs a new export of every resource. The place is the
 * last byte before `source.commitLsn`, where no change can be.
 */
export function lostEvents(
  resources: readonly Resource[],
  accounts: readonly string[],
  source: LostPlace,
): RecordedEvent[] {
  return resources.flatMap((resource, index) => {
    const place = { ...source, commitLsn: source.commitLsn - 1n, xid: 0n, index, bulkJobId: null };
    const lost = lostChange(resource.name, place);
    return accounts.map((account) => createResetRenderer(resource).renderReset(lost, account));
  });
}

function lostChange(resource: string, source: ChangeSource): DecodedChange {
  const reset = {
    op: 'truncate',
    account: '',
    before: null,
    after: null,
    unchanged: [],
    missing: [],
  } as const;
  return { ...reset, resource, source, resetReason: 'changes_lost' };
}
