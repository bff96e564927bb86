import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogCheckCommand } from '../../../deploy/cli/commands/catalog-check.ts';
import { sourceStatusCommand } from '../../../deploy/cli/commands/source-status.ts';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { createDocumint } from '../../../deploy/samples/documint/generate-documint.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { createSlotWatch, type SlotReading } from '../../../shared/catalog/slot-health.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import { createLog } from '../../../shared/runtime/log.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { runCommand } from '../../support/run-command.ts';
import { createDatabase, type TestDatabase, topicPrefix } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const slotName = topicPrefix();
let database: TestDatabase;
let pool: pg.Pool;
let api: TestApi;
let sight: SlotReading | undefined;

beforeAll(async () => {
  database = await createDatabase('slot');
  pool = openProductPool({ connectionString: database.url, max: 3 });
  await createDocumint(pool);
  await migrate(pool);
  api = await openTestApi({ slotWatch: { latest: () => sight }, slotName });
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await pool?.end();
  await database?.drop();
});

async function status(env: Record<string, string> = {}, ...words: string[]) {
  const { code, lines } = await runCommand(sourceStatusCommand, words, {
    env: { DATABASE_URL: database.url, SLOT_NAME: slotName, PUBLICATION_NAME: slotName, ...env },
    home: join(tmpdir(), 'no-tandem-runs-here'),
  });
  return { code, output: lines.join('\n') };
}

test('the status names what a source still needs, then what is wrong with its slot, each with what mends it', async () => {
  const bare = await status();
  expect(bare.code).toBe(1);
  expect(bare.output).toContain(`the slot ${slotName} does not exist. Run: tandem source prepare`);
  expect(bare.output).toContain('CREATE PUBLICATION');

  const bareJson = await status({}, '--json');
  expect(JSON.parse(bareJson.output)).toMatchObject({
    source: { in_recovery: false },
    slot: null,
    problems: expect.arrayContaining([expect.stringContaining('does not exist')]),
  });
  const catalog = await loadCatalog('schemas/catalogs/documint.yaml');
  const check = async () => {
    const env = { DATABASE_URL: database.url, PUBLICATION_NAME: slotName };
    const { code, lines } = await runCommand(catalogCheckCommand, ['--json'], { env, home: '/nowhere' });
    return { code, result: JSON.parse(lines.join('')) };
  };
  expect(await check()).toMatchObject({
    code: 1,
    result: {
      fits: false,
      findings: expect.arrayContaining([expect.objectContaining({ code: 'publication' })]),
    },
  });
  // Other tests have transactions open on this server, which a slot waits for.
  const limits = { slotTimeoutMs: 240_000 };
  await prepareSource(pool, catalog, { publication: slotName, slot: slotName }, { limits });
  expect(await check()).toMatchObject({ code: 0, result: { catalog: 'documint', fits: true, findings: [] } });
  expect(JSON.parse((await status({}, '--json')).output)).toMatchObject({
    slot: { name: slotName, plugin: 'pgoutput' },
  });
  const prepared = await status();
  expect(prepared.output).toContain(`${slotName}, pgoutput, not active, WAL reserved`);
  expect(prepared.output).toMatch(/invoices: documint\.invoices, replica identity \w+, published/);
  // Capture does not run here, and that is all.
  expect(prepared.output.match(/^- .*/gm)).toEqual([expect.stringContaining('capture is not running')]);

  await pool.query(`select pg_logical_emit_message(true, 'filling', repeat('x', 1000000))`);
  const lagging = await status({ SLOT_WARN_BYTES: '1', SLOT_REFUSE_BYTES: '500000' });
  expect(lagging.output).toContain('SLOT_REFUSE_BYTES is 488.3 kB');
  expect(lagging.output).toContain('are refused until the feed has caught up');
  expect(lagging.code).toBe(1);
});

test('the watch tells each change of the state once, and forgets what it can no longer see', async () => {
  const lines: { level: string; state: string; reasons: string[] }[] = [];
  const log = createLog('info', {}, (line) => lines.push(JSON.parse(line)));
  let isAway = false;
  let nowMs = 0;
  const source = {
    query: ((text: string, values: unknown[]) =>
      isAway ? Promise.reject(new Error('away')) : pool.query(text, values)) as pg.Pool['query'],
  };
  const settings = { slotName, thresholds: { warnBytes: 1, refuseBytes: 100_000 } };
  const watch = createSlotWatch(source, settings, { log, now: () => nowMs });
  const once = async () => {
    const stop = new AbortController();
    const running = watch.run(stop.signal);
    stop.abort();
    await running;
  };
  await once();
  await once();
  expect(lines).toMatchObject([
    { level: 'error', state: 'refuse', reasons: [expect.any(String), expect.any(String)] },
  ]);
  // What is kept for a slot that only moves on is freed when the server finds time for it; that of none, at once.
  await pool.query('select pg_drop_replication_slot($1)', [slotName]);
  await once();
  expect(lines.map(({ state }) => state)).toEqual(['refuse', 'warn']);
  expect(watch.latest()).toMatchObject({ slot: undefined, reasons: ['the slot does not exist'] });
  isAway = true;
  await once();
  expect(watch.latest()?.state).toBe('warn');
  nowMs = 61_000;
  expect(watch.latest()).toBeUndefined();
});

test('past the threshold new exports and bulk jobs are refused, and nothing else is', async () => {
  const { key } = await api.account();
  const ask = (path: string, body: unknown) => api.call('POST', path, { key, body });
  const accepted = await ask('/exports', { resource: 'invoices' });
  expect(accepted.status).toBe(202);

  sight = {
    state: 'refuse',
    reasons: ['the source keeps 9.0 GB of WAL for the slot'],
    seenAtMs: Date.now(),
    slot: {
      plugin: 'pgoutput',
      isOfThisDatabase: true,
      isTemporary: false,
      isActive: true,
      walStatus: 'extended',
      invalidationReason: null,
      lagBytes: 8e9,
      retainedBytes: 9e9,
      safeWalBytes: null,
    },
  };
  const refused = await ask('/exports', { resource: 'invoices' });
  expect(refused).toMatchObject({
    status: 503,
    json: { code: 'feed_behind', type: expect.stringMatching(/\/docs\/problems\/feed_behind$/) },
  });
  expect(refused.headers.get('retry-after')).toBe('60');
  // What concerns the operator is not told to customers.
  expect(refused.text).not.toMatch(/\d [kMGT]?B\b/);
  expect((await ask('/exports', { resource: 'invoices', dry_run: true })).status).toBe(200);
  expect((await api.call('GET', `/exports/${accepted.json.id}`, { key })).status).toBe(200);

  const ready = await api.call('GET', '/readyz');
  expect(ready).toMatchObject({ status: 200, json: { warnings: ['slot_refuse'] } });
  const metrics = await api.call('GET', '/metrics', { key: ADMIN_KEY });
  expect(metrics.headers.get('content-type')).toContain('version=0.0.4');
  expect((await api.call('GET', '/metrics', { key })).status).toBe(403);
  const shown = await api.call('GET', '/admin/source', { key: ADMIN_KEY });
  expect(shown.json).toMatchObject({ slot: slotName, state: 'refuse', retained_bytes: 9e9, active: true });
  expect((await api.call('GET', '/admin/source', { key })).status).toBe(403);
  const forgotten = new pg.Client({ connectionString: api.databaseUrl, application_name: 'nightly' });
  await forgotten.connect();
  await forgotten.query('begin; select pg_current_xact_id()');
  const { rows } = await forgotten.query<{ pid: number }>('select pg_backend_pid() as pid');
  const isListed = async () => {
    const { json } = await api.call('GET', '/admin/source', { key: ADMIN_KEY });
    const all: { pid: number }[] = json.open_transactions;
    return all.find(({ pid }) => pid === rows[0]?.pid);
  };
  expect(await waitFor('the transaction is listed', isListed)).toMatchObject({
    age_seconds: expect.any(Number),
    application: 'nightly',
    state: 'idle in transaction',
  });
  await forgotten.query('rollback');
  expect(await isListed()).toBeUndefined();
  await forgotten.end();

  sight = undefined;
  expect((await ask('/exports', { resource: 'invoices' })).status).toBe(202);
});
