import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { HEALTHY } from '../../../services/dispatcher/endpoints/endpoint-health.ts';
import { type Delivery, NEVER_ASKED } from '../../../services/dispatcher/store/progress.ts';
import { readRetries } from '../../../services/dispatcher/store/read-events.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import { scheduleRedelivery } from '../../../shared/control/webhooks/deliver-again.ts';
import {
  claimEndpoints,
  leaveEndpoints,
  noteApplied,
  readChangedEndpoints,
  readFairShare,
  readHeldIds,
  releaseEndpoints,
  removeDispatcher,
  renewDispatcher,
} from '../../../shared/control/webhooks/lease-endpoints.ts';
import { saveProgress } from '../../../shared/control/webhooks/save-progress.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createLeaseTables } from '../../simulation/lease-store.ts';
import { explaining } from '../../support/explain.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('leases');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await migrate(pool);
  await pool.query(`insert into accounts (id, name, source_id) values ('acct_1', 'one', 'one')`);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(() => pool.query('truncate webhooks, dispatchers cascade'));

const addEndpoints = (from: number, to: number) =>
  pool.query(
    `insert into webhooks (id, account_id, url, events, status, secrets, start, cursor_lsn, cursor_idx)
     select 'whk_' || n, 'acct_1', 'https://shop.example', '{*}', 'active', '[]', '{}', '0/0', 0
       from generate_series($1::int, $2::int) n`,
    [from, to],
  );

/** A lease that lasts through any test. */
const LONG_MS = 3_600_000;

const DISPATCHERS = ['d1', 'd2', 'd3'];
const ENDPOINTS = Array.from({ length: 8 }, (_, n) => `whk_${n + 1}`);

const dispatcher = fc.constantFrom(...DISPATCHERS);
const endpoint = fc.constantFrom(...ENDPOINTS);

const action = fc.oneof(
  fc.record({ kind: fc.constant('renew' as const), dispatcher }),
  // As time does: the lease that a dead one had is over.
  fc.record({ kind: fc.constant('expire' as const), dispatcher }),
  fc.record({ kind: fc.constant('leave' as const), dispatcher }),
  fc.record({ kind: fc.constant('end' as const), dispatcher }),
  fc.record({ kind: fc.constant('claim' as const), dispatcher, limit: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ kind: fc.constant('release' as const), dispatcher, ids: fc.subarray(ENDPOINTS) }),
  fc.record({ kind: fc.constant('change' as const), endpoint }),
  fc.record({ kind: fc.constant('note' as const), dispatcher }),
  fc.record({ kind: fc.constant('pause' as const), endpoint }),
  fc.record({ kind: fc.constant('resume' as const), endpoint }),
);

const ONE_OF_TWO_LEAVES = [
  { kind: 'renew' as const, dispatcher: 'd1' },
  { kind: 'renew' as const, dispatcher: 'd2' },
  { kind: 'leave' as const, dispatcher: 'd1' },
];

test('the statements on leases do what their model does, of which the simulation is made', () =>
  fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 20 }), async (actions) => {
      await pool.query('truncate webhooks, dispatchers cascade');
      await addEndpoints(1, ENDPOINTS.length);
      const model = createLeaseTables(() => 0);
      for (const id of ENDPOINTS) model.addEndpoint(id);
      const setActive = async (id: string, isActive: boolean) => {
        model.setActive(id, isActive);
        await pool.query('update webhooks set status = $2 where id = $1', [
          id,
          isActive ? 'active' : 'paused',
        ]);
      };
      for (const taken of actions) {
        switch (taken.kind) {
          case 'renew':
            model.renew(taken.dispatcher, LONG_MS);
            await renewDispatcher(pool, taken.dispatcher, LONG_MS);
            break;
          case 'expire':
            model.renew(taken.dispatcher, -LONG_MS);
            await renewDispatcher(pool, taken.dispatcher, -LONG_MS);
            break;
          case 'leave':
            model.leave(taken.dispatcher);
            await leaveEndpoints(pool, taken.dispatcher);
            break;
          case 'end':
            model.remove(taken.dispatcher);
            await removeDispatcher(pool, taken.dispatcher);
            break;
          case 'claim': {
            const free = model.freeCount();
            const claimed = new Set(
              (await claimEndpoints(pool, taken.dispatcher, taken.limit)).map(({ id }) => id),
            );
            expect(claimed.size).toBe(Math.min(free, taken.limit));
            const wanted = model.claim(taken.dispatcher, taken.limit, claimed).map(({ id }) => id);
            expect(new Set(wanted)).toEqual(claimed);
            break;
          }
          case 'release':
            model.release(taken.dispatcher, taken.ids);
            await releaseEndpoints(pool, taken.dispatcher, taken.ids);
            break;
          case 'change':
            model.changeSettings(taken.endpoint);
            await pool.query(`update webhooks set updated_at = clock_timestamp() where id = $1`, [
              taken.endpoint,
            ]);
            break;
          case 'note': {
            const changed = model.changed(taken.dispatcher);
            const versions = new Map(changed.map(({ id, settingsVersion }) => [id, settingsVersion]));
            model.noteApplied(versions);
            await noteApplied(pool, versions);
            break;
          }
          case 'pause':
            await setActive(taken.endpoint, false);
            break;
          case 'resume':
            await setActive(taken.endpoint, true);
        }
        expect(await readFairShare(pool)).toBe(model.fairShare());
        for (const id of DISPATCHERS) {
          expect(await readHeldIds(pool, id)).toEqual(model.heldIds(id));
          const changed = (await readChangedEndpoints(pool, id)).map((row) => row.id).toSorted();
          expect(changed).toEqual(
            model
              .changed(id)
              .map((row) => row.id)
              .toSorted(),
          );
        }
      }
    }),
    { numRuns: 12, examples: [[ONE_OF_TWO_LEAVES]] },
  ));

test('what an earlier claim saves late changes nothing, even when the same dispatcher holds the endpoint again', async () => {
  await addEndpoints(1, 1);
  for (const id of DISPATCHERS) await renewDispatcher(pool, id, LONG_MS);
  const epochs: number[] = [];
  for (const id of ['d1', 'd2', 'd1']) {
    const [claimed] = await claimEndpoints(pool, id, 1);
    epochs.push(claimed?.lease_epoch ?? 0);
    if (epochs.length < 3) await releaseEndpoints(pool, id, ['whk_1']);
  }
  const [first = 0, , last = 0] = epochs;
  const save = (leaseEpoch: number, lsn: bigint) =>
    saveProgress(pool, 'd1', {
      endpoints: [
        {
          endpointId: 'whk_1',
          cursorEpoch: 0,
          leaseEpoch,
          cursor: { commitLsn: lsn, index: 0 },
          done: [],
          health: HEALTHY,
          disabledBy: undefined,
        },
      ],
      retries: [],
      endedRetries: [],
    });
  expect(await save(last, 20n)).toEqual(new Set(['whk_1']));
  expect(await save(first, 10n)).toEqual(new Set());
  const { rows } = await pool.query('select cursor_lsn from webhooks');
  expect(rows).toEqual([{ cursor_lsn: '0/14' }]);
});

test.each(['waiting', 'dead', 'delivered'] as const)(
  'a redelivery that is asked for before an outcome is saved stays scheduled, whatever the outcome was: %s',
  async (outcome) => {
    await addEndpoints(1, 1);
    await renewDispatcher(pool, 'd1', LONG_MS);
    const [claimed] = await claimEndpoints(pool, 'd1', 1);
    const { rows } = await pool.query<{ commit_lsn: string; occurred_at: string }>(
      `insert into account_events (commit_lsn, account_id, type, resource, subject_id, occurred_at, payload)
       values ('80000000/1', 'acct_1', 'export.completed', 'export', 'exp_1', now(), '{}')
       on conflict (commit_lsn) do update set type = excluded.type returning commit_lsn, occurred_at::text`,
    );
    const [event] = rows;
    const position = { commitLsn: parseLsn(event?.commit_lsn ?? ''), index: 0 };
    const read = async () => (await readRetries(pool, ['whk_1'])).get('whk_1')?.[0];
    const save = (known: Delivery | undefined, as: typeof outcome) =>
      saveProgress(pool, 'd1', {
        endpoints: [
          {
            endpointId: 'whk_1',
            cursorEpoch: 0,
            leaseEpoch: claimed?.lease_epoch ?? 0,
            cursor: { commitLsn: 0n, index: 0 },
            done: [],
            health: HEALTHY,
            disabledBy: undefined,
          },
        ],
        retries:
          as === 'delivered'
            ? []
            : [
                {
                  endpointId: 'whk_1',
                  position,
                  committedAt: event?.occurred_at ?? '',
                  record: 'export/exp_1',
                  attemptCount: 3,
                  nextAttemptAtMs: Date.now() + LONG_MS,
                  askedXid: known?.askedXid ?? NEVER_ASKED,
                  lastError: { class: 'timeout' },
                  state: as,
                  hasMore: false,
                },
              ],
        endedRetries:
          as === 'delivered'
            ? [{ endpointId: 'whk_1', position, askedXid: known?.askedXid ?? NEVER_ASKED }]
            : [],
      });
    const ask = () => scheduleRedelivery(pool, 'acct_1', 'whk_1', position);
    await save(undefined, 'waiting');
    const known = await read();
    expect(known?.attemptCount).toBe(3);
    expect(await ask()).toBe('queued');
    await save(known, outcome);
    const again = await read();
    expect(again).toMatchObject({ attemptCount: 0 });
    expect(again?.nextAttemptAtMs).toBeLessThanOrEqual(Date.now());
    // The same save once more, as after a lost response, also when the redelivery has ended meanwhile and is asked for again.
    await save(again, 'delivered');
    expect(await read()).toBeUndefined();
    expect(await ask()).toBe('queued');
    await save(again, 'delivered');
    expect(await read()).toMatchObject({ attemptCount: 0 });
  },
);

test('two that claim at once never get the same endpoint', async () => {
  await addEndpoints(1, 300);
  for (const id of DISPATCHERS) await renewDispatcher(pool, id, LONG_MS);
  const claims = await Promise.all(
    Array.from({ length: 9 }, (_, n) => claimEndpoints(pool, DISPATCHERS[n % 3] ?? '', 50)),
  );
  const ids = claims.flat().map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('a claim reads what it claims, however many endpoints others hold or are paused', async () => {
  await addEndpoints(1, 10_000);
  for (const id of DISPATCHERS) await renewDispatcher(pool, id, LONG_MS);
  await pool.query(`update webhooks set lease_owner = 'd' || (1 + substr(id, 5)::int % 3)`);
  await pool.query(
    `update webhooks set status = 'paused', lease_owner = null where substr(id, 5)::int > 5000`,
  );
  await pool.query('vacuum analyze webhooks');
  const atRest = explaining(pool);
  expect(await claimEndpoints(atRest.db, 'd1', 100)).toEqual([]);
  expect(atRest.rowsRead('webhooks')).toBeLessThan(20);
  // One dies. Explaining claims too.
  await renewDispatcher(pool, 'd3', -LONG_MS);
  const after = explaining(pool);
  expect(await claimEndpoints(after.db, 'd1', 100)).toHaveLength(100);
  expect(after.rowsRead('webhooks')).toBeLessThan(1_500);
});

test('a save reads no endpoint in vain, although the statistics of the table do not know who holds them', async () => {
  const count = 3_000;
  await addEndpoints(1, count);
  // As after a restart: the dispatcher has an ID that it did not have when the table was analysed.
  await pool.query('analyze webhooks');
  await renewDispatcher(pool, 'd1', LONG_MS);
  const claimed = await claimEndpoints(pool, 'd1', count);
  const explained = explaining(pool);
  const endpoints = claimed.slice(0, 200).map(({ id, lease_epoch: leaseEpoch }) => ({
    endpointId: id,
    cursorEpoch: 0,
    leaseEpoch,
    cursor: { commitLsn: 1n, index: 0 },
    done: [],
    health: HEALTHY,
    disabledBy: undefined,
  }));
  expect(await saveProgress(explained.db, 'd1', { endpoints, retries: [], endedRetries: [] })).toHaveProperty(
    'size',
    200,
  );
  const positions = endpoints.flatMap(({ endpointId }) =>
    Array.from({ length: 10 }, (_, index) => ({ endpointId, position: { commitLsn: 1n, index } })),
  );
  const retries = positions.map((at) => ({
    ...at,
    committedAt: '2026-01-01T00:00:00Z',
    record: 'invoices/1',
    attemptCount: 1,
    nextAttemptAtMs: 1,
    askedXid: NEVER_ASKED,
    lastError: undefined,
    state: 'waiting' as const,
    hasMore: false,
  }));
  await saveProgress(explained.db, 'd1', { endpoints, retries, endedRetries: [] });
  const endedRetries = positions.map((at) => ({ ...at, askedXid: NEVER_ASKED }));
  await saveProgress(explained.db, 'd1', { endpoints, retries: [], endedRetries });
  expect(explained.pairsDropped).toBe(0);
});
