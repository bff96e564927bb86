import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensurePartitions } from '../../../services/dispatcher/record/event-partitions.ts';
import { insertEvents, type RecordedEvent } from '../../../services/dispatcher/record/insert-events.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import {
  claimEndpoints,
  leaveEndpoints,
  releaseEndpoints,
  renewDispatcher,
} from '../../../shared/control/webhooks/lease-endpoints.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { EVENTS_CHANNEL, WEBHOOKS_CHANNEL } from '../../../shared/protocol/names.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Their IDs take more than twice what one notification holds. */
const ACCOUNTS = 600;

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('notifications');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await migrate(pool);
  await ensurePartitions(pool, ['2026-01-01']);
  await pool.query(
    `insert into accounts (id, name, source_id)
     select 'acct_' || lpad(n::text, 26, '0'), 'account', 'source_' || n from generate_series(1, $1::int) n`,
    [ACCOUNTS],
  );
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const idOf = (n: number) => `acct_${`${n}`.padStart(26, '0')}`;

const eventOf = (n: number): RecordedEvent => ({
  commitLsn: BigInt(n),
  index: 0,
  xid: BigInt(n),
  account: `source_${n}`,
  type: 'invoice.created',
  op: 'insert',
  jsonNulls: '{}',
  resource: 'invoices',
  recordKey: '["1"]',
  committedAt: '2026-01-01T12:00:00.000000Z',
  payloadHead: '{"account_id":"',
  payloadTail: '"}',
});

test('other dispatchers are told of each account that got events, however many those are, and of no other', async () => {
  await renewDispatcher(pool, 'dispatcher-2', 3_600_000);
  const session = await pool.connect();
  try {
    const payloads: string[] = [];
    session.on('notification', ({ payload = '' }) => payloads.push(payload));
    await session.query(`listen ${EVENTS_CHANNEL}`);
    const numbers = Array.from({ length: ACCOUNTS - 1 }, (_, n) => n + 1);
    expect((await insertEvents(pool, 'dispatcher-1', numbers.map(eventOf))).count).toBe(ACCOUNTS - 1);
    const told = () => payloads.flatMap((payload) => payload.split(' ')[1]?.split(',') ?? []);
    await waitFor('all accounts to be told of', () => told().length >= ACCOUNTS - 1);
    expect(payloads.length).toBeGreaterThan(1);
    for (const payload of payloads) expect(payload.startsWith('dispatcher-1 ')).toBe(true);
    expect(told().toSorted()).toEqual(numbers.map(idOf));
  } finally {
    session.release(true);
  }
});

test('other dispatchers are told of one that stops, and of what it gives back', async () => {
  await pool.query(
    `insert into webhooks (id, account_id, url, events, status, secrets, start, cursor_lsn, cursor_idx)
     values ('whk_1', $1, 'https://shop.example', '{*}', 'active', '[]', '{}', '0/0', 0)`,
    [idOf(1)],
  );
  await renewDispatcher(pool, 'dispatcher-1', 3_600_000);
  await claimEndpoints(pool, 'dispatcher-1', 1);
  const session = await pool.connect();
  try {
    const payloads: string[] = [];
    session.on('notification', ({ payload = '' }) => payloads.push(payload));
    await session.query(`listen ${WEBHOOKS_CHANNEL}`);
    await leaveEndpoints(pool, 'dispatcher-1');
    await waitFor('the first notification', () => payloads.length === 1);
    await releaseEndpoints(pool, 'dispatcher-1', ['whk_1']);
    await waitFor('the second notification', () => payloads.length === 2);
    // Of what it does not hold there is nothing to tell.
    await releaseEndpoints(pool, 'dispatcher-1', ['whk_1']);
    await session.query(`select pg_notify('${WEBHOOKS_CHANNEL}', 'last')`);
    await waitFor('the last notification', () => payloads.includes('last'));
    expect(payloads).toEqual(['dispatcher-1', 'dispatcher-1', 'last']);
  } finally {
    session.release(true);
  }
});
