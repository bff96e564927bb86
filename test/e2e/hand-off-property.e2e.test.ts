import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { applyChanges, takeExport } from '../support/export-files.ts';
import { type OwnPostgres, openOwnPostgres } from '../support/own-postgres.ts';
import { testStack } from '../support/stack.ts';
import {
  createExport,
  differencesAfter,
  differencesNow,
  loadExport,
  pullFeed,
} from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * The law on the real parts: random transactions on several sessions, with savepoints, exports begun at random moments and
 * capture killed at others. Each export's file must be the source, with the feed after it as with an export of the changes.
 */
const SESSIONS = 4;
/** The same schedules each time; how they interleave with the services differs. */
const SEED = 2026;
const ROWS = 8;

let postgres: OwnPostgres;
let world: World;
let customer: Customer;
let sessions: pg.Client[];

beforeAll(async () => {
  // Transactions stay open for long; on the tests' own server others would wait for them.
  postgres = await openOwnPostgres({ max_connections: '200' });
  world = await openTestWorld({
    stack: { databaseUrl: postgres.url('postgres') },
    controlServerUrl: testStack().databaseUrl,
    rows: ROWS,
    accounts: 1,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
  });
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  // A feed that starts for the first time, or dies before it has told where it is, waits for the transactions that are then
  // open, and the account's first export with it. The schedules wait for exports while theirs are open.
  await loadExport(world, customer, (await createExport(world, customer)).id);
  sessions = await Promise.all(Array.from({ length: SESSIONS }, () => openSession(world.sourceUrl)));
});

afterAll(async () => {
  await Promise.all((sessions ?? []).map((session) => session.end()));
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

async function openSession(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  // A row held by another session is passed over: the schedule is ours, so nobody would ever let go of it.
  await client.query("set lock_timeout = '20ms'");
  return client;
}

type Step =
  | { do: 'write'; statement: 'update' | 'delete' | 'insert'; session: number; row: number }
  | { do: 'savepoint'; session: number }
  | { do: 'rollbackToSavepoint'; session: number }
  | { do: 'end'; statement: 'commit' | 'rollback'; session: number }
  | { do: 'export' }
  | { do: 'killCapture' };

const session = fc.nat(SESSIONS - 1);
const row = fc.integer({ min: 1, max: ROWS });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      statement: fc.constantFrom('update', 'update', 'update', 'insert', 'delete'),
      session,
      row,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('savepoint' as const), session }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rollbackToSavepoint' as const), session }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      statement: fc.constantFrom('commit', 'commit', 'rollback'),
      session,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('export' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('killCapture' as const) }) },
);

const STATEMENTS = {
  update: `update documint.invoices set memo = coalesce(memo, '') || 'x', total = total + 1 where id = $1`,
  delete: 'delete from documint.invoices where id = $1',
  insert: `insert into documint.invoices (id, account_id, customer_id, currency, tax, total, issued_on)
    select $1, 'acc_001', (select min(id) from documint.customers), 'EUR', 1, 2, current_date
    on conflict (id) do update set status = 'open'`,
} as const;

/** Runs a statement within the session's transaction; a lock that can't be had undoes the statement alone. */
async function write(client: pg.Client, text: string, values: unknown[]): Promise<void> {
  await client.query('savepoint statement');
  try {
    await client.query(text, values);
    await client.query('release savepoint statement');
  } catch {
    await client.query('rollback to savepoint statement');
  }
}

async function play(steps: readonly Step[]): Promise<string[]> {
  const exports: string[] = [];
  const hasSavepoint = sessions.map(() => false);
  for (const client of sessions) await client.query('begin');
  for (const each of steps) {
    if (each.do === 'export') {
      const { id } = await createExport(world, customer);
      exports.push(id);
      // Only the snapshot has to be taken before the schedule goes on; the rest overlaps with it.
      await waitFor('the snapshot', async () => {
        const view = await customer.client.call<ExportView>('GET', `/exports/${id}`);
        return view.snapshot != null;
      });
    } else if (each.do === 'killCapture') {
      world.services.kill('capture', 0, 'SIGKILL');
    } else {
      const client = sessions[each.session];
      if (client === undefined) continue;
      if (each.do === 'savepoint') {
        await client.query('savepoint s');
        hasSavepoint[each.session] = true;
      } else if (each.do === 'rollbackToSavepoint') {
        if (hasSavepoint[each.session]) await client.query('rollback to savepoint s');
      } else if (each.do === 'end') {
        await client.query(each.statement);
        await client.query('begin');
        hasSavepoint[each.session] = false;
      } else {
        await write(client, STATEMENTS[each.statement], [each.row]);
      }
    }
  }
  for (const client of sessions) await client.query('commit');
  return exports;
}

/** File plus feed is the source, and so is file plus changes. */
async function expectExact(exportId: string): Promise<void> {
  const replica = await loadExport(world, customer, exportId);
  let after = `after_export=${exportId}`;
  const faults = await differencesAfter(world, customer, replica, async () => {
    after = await pullFeed(customer, after, replica);
  });
  expect(faults).toEqual([]);
  const refreshed = await loadExport(world, customer, exportId);
  const resources = world.catalog.resources.map(({ name }) => name);
  const changes = await takeExport(customer, { resources, changes_since: exportId });
  expect(applyChanges(world, changes.files, refreshed)).toEqual([]);
  expect(await differencesNow(world, customer, refreshed)).toEqual([]);
}

test('file plus feed is the source, and so is file plus changes, for random transactions, exports and crashes of capture', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 25, maxLength: 60 }), async (steps) => {
      const exports = await play([...steps, { do: 'export' }]);
      await Promise.all(exports.map(expectExact));
    }),
    { numRuns: 4, endOnFailure: true, seed: SEED },
  );
}, 400_000);
