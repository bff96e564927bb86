import { expect, test } from 'vitest';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createExpiredEvents } from './expired-events.ts';
import type { RecordedEvent } from './insert-events.ts';

const event = (account: string, committedAt: string): RecordedEvent => ({
  commitLsn: 1n,
  index: 0,
  xid: 1n,
  account,
  type: 'invoice.created',
  op: 'insert',
  jsonNulls: '{}',
  resource: 'invoices',
  recordKey: '["1"]',
  committedAt: `${committedAt}T00:00:00.000000Z`,
  payloadHead: '',
  payloadTail: '',
});

const setUp = (maxTold?: number) => {
  let today = '2026-03-01';
  const db = { query: async () => ({ rows: [{ account: 'a' }, { account: 'b' }] }) } as unknown as Queryable;
  const expired = createExpiredEvents(db, () => Date.parse(today), maxTold);
  const tell = async (day: string, ...events: readonly RecordedEvent[]) => {
    today = day;
    const resets = await expired.resetsFor(events, day);
    expired.noteTold(resets);
    return resets.length;
  };
  return tell;
};

test('an account is told once of all that was committed before it was told, and again of what came after', async () => {
  const tell = setUp();
  expect(await tell('2026-03-01', event('a', '2026-01-05'), event('a', '2026-01-06'))).toBe(1);
  expect(await tell('2026-03-09', event('a', '2026-02-05'))).toBe(0);
  // It has made a new export since, which does not hold this.
  expect(await tell('2026-05-01', event('a', '2026-02-06'), event('a', '2026-03-02'))).toBe(1);
});

test('what was told is remembered for so many accounts', async () => {
  const tell = setUp(1);
  expect(await tell('2026-03-01', event('a', '2026-01-05'))).toBe(1);
  expect(await tell('2026-03-01', event('b', '2026-01-05'))).toBe(1);
  expect(await tell('2026-03-01', event('a', '2026-01-05'))).toBe(1);
});
