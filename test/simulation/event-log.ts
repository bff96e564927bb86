import type { LoggedEvent } from '../../services/dispatcher/store/read-events.ts';
import { comparePositions, type Position } from '../../shared/domain/position.ts';

/** The events of all accounts, as `events` in the control store has them. */
export interface EventLog {
  record(accountId: string): void;
  /** The next events of an account. */
  after(accountId: string, position: Position, limit: number): LoggedEvent[];
  /** Behind every event of now. */
  end(): Position;
}

/** So many records of an account take turns. */
const RECORDS = 5n;

export function createEventLog(): EventLog {
  const events = new Map<string, LoggedEvent[]>();
  let lastLsn = 0n;
  return {
    record(accountId) {
      lastLsn += 1n;
      const ofAccount = events.get(accountId) ?? [];
      events.set(accountId, ofAccount);
      ofAccount.push({
        position: { commitLsn: lastLsn, index: 0 },
        xid: lastLsn,
        type: 'invoice.updated',
        resource: 'invoices',
        recordKey: `["${lastLsn % RECORDS}"]`,
        committedAt: new Date().toISOString(),
        payload: JSON.stringify({ n: String(lastLsn) }),
      });
    },
    after(accountId, position, limit) {
      const ofAccount = events.get(accountId) ?? [];
      const from = ofAccount.findIndex((event) => comparePositions(event.position, position) > 0);
      return from === -1 ? [] : ofAccount.slice(from, from + limit);
    },
    end: () => ({ commitLsn: lastLsn, index: 0 }),
  };
}
