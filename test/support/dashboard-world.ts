import { recordAttempts } from '../../services/dispatcher/store/record-attempts.ts';
import { durationClass } from '../../shared/domain/duration-classes.ts';
import { eventId } from '../../shared/domain/position.ts';
import type { ApiOverrides, TestApi } from './api-server.ts';
import { type BulkWorld, openBulkWorld } from './bulk-world.ts';
import { completeExport } from './complete-export.ts';

/** What customers and their receivers have written. */
export interface CustomerTexts {
  /** Names and descriptions. */
  readonly name: string;
  /** Texts of records, errors and responses. */
  readonly text: string;
  /** The path of a receiver's URL. */
  readonly urlPath: string;
}

export const USUAL_TEXTS: CustomerTexts = {
  name: 'Warehouse',
  text: 'Consulting, March 2026',
  urlPath: 'hooks/tandem',
};

/** Markup, quotes, templates, the other writing direction, and words without an end. */
const HOSTILE = `<img src=x onerror="window.broken=1">'"&{{x}}\u202e</script><script>window.broken=1</script>`;
export const HOSTILE_TEXTS: CustomerTexts = {
  name: `${HOSTILE}${'W'.repeat(80)}`,
  text: `${HOSTILE} javascript:window.broken=1 ${'x'.repeat(600)} ${'z\u0335\u0321'.repeat(40)}`,
  urlPath: `${encodeURIComponent(HOSTILE)}/'-window.broken=1-'/${'path'.repeat(200)}?a=%22onload=x`,
};

export interface DashboardWorld extends AsyncDisposable {
  readonly api: TestApi;
  /** An account that has everything that pages show, with these texts in it. */
  arrange(texts?: CustomerTexts): Promise<Awaited<ReturnType<BulkWorld['account']>>>;
}

/** The api over DocuMint, with what the other services would have done. */
export async function openDashboardWorld(overrides: ApiOverrides = {}): Promise<DashboardWorld> {
  const world = await openBulkWorld({ maxQueuedExports: 10, maxQueuedBulk: 10, ...overrides });
  const { api } = world;
  await api.pool.query('create table events_all partition of events default');
  // Digests and as-of need the old rows.
  await api.pool.query('alter table documint.invoices replica identity full');
  let lastLsn = 0x1_000;
  return {
    api,
    async arrange(texts = USUAL_TEXTS) {
      const account = await world.account(24);
      await api.pool.query('update accounts set name = $2 where id = $1', [account.id, texts.name]);
      await api.pool.query('update documint.invoices set memo = $2 where account_id = $1', [
        account.sourceId,
        texts.text,
      ]);
      await addExports(api, account, texts);
      lastLsn = await addEvents(api, account, texts, lastLsn);
      await addWebhooks(api, account, texts);
      await addJobs(world, account, texts);
      const key = { name: texts.name.slice(0, 90), scopes: ['exports:read'] };
      await api.call('POST', '/keys', { key: account.key, body: key });
      return account;
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

interface Customer {
  readonly id: string;
  readonly key: string;
  readonly ids: readonly string[];
}

/** One of each state. */
async function addExports(api: TestApi, { id, key }: Customer, { text }: CustomerTexts): Promise<void> {
  const start = async (body: Readonly<Record<string, unknown>> = {}) => {
    const {
      status,
      json,
      text: fault,
    } = await api.call('POST', '/exports', { key, body: { resource: 'invoices', ...body } });
    if (status !== 202) throw new Error(fault);
    return json.id as string;
  };
  const failed = await start({ format: 'csv' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', phase = 'extracting', started_at = now(), completed_at = now(), error = $2 where id = $1`,
    [failed, JSON.stringify({ code: 'source_unavailable', message: text })],
  );
  await completeExport(api, await start(), '{"id":1}\n{"id":2}\n');
  const running = await start({ include_related: true, resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', started_at = now() - interval '40 seconds',
       rows_estimated = 48000, rows_extracted = 21000, rows_written = 20160,
       snapshot = jsonb_build_object('taken_at', now() - interval '38 seconds', 'lsn', '0/16B3748', 'xmin', '10', 'xmax', '12', 'xip', '[]'::jsonb)
     where id = $1`,
    [running],
  );
  await start({ format: 'parquet' });
  // Digests are of accounts whose changes are recorded.
  await api.pool.query(`update accounts set recorded_from_at = now() - interval '1 hour' where id = $1`, [
    id,
  ]);
  const digest = await start({ format: 'digest' });
  const file = {
    name: 'invoices.digest.jsonl',
    resource: 'invoices',
    rows: 24,
    bytes: 9,
    sha256: 'a',
    path: 'x',
  };
  await api.pool.query(
    `/* arranged */ update exports set status = 'completed', phase = 'done', files = $2, started_at = now(), completed_at = now(),
       expires_at = now() + interval '90 days', cut_lsn = '0/1A2B', rows_extracted = 24, rows_written = 24 where id = $1`,
    [digest, JSON.stringify([{ ...file, digest: '0123456789abcdef'.repeat(4) }])],
  );
}

/** Events of the last hours. @returns the position of the last */
async function addEvents(
  api: TestApi,
  { id: accountId, ids }: Customer,
  { text }: CustomerTexts,
  after: number,
): Promise<number> {
  for (const [n, record] of ids.entries()) {
    const lsn = after + 0x10 * (n + 1);
    const id = eventId({ commitLsn: BigInt(lsn), index: 0 });
    const type = n % 5 === 0 ? 'invoice.created' : 'invoice.updated';
    const at = new Date(Date.now() - (ids.length - n) * 400_000).toISOString();
    const payload = {
      id,
      type,
      timestamp: at,
      account_id: accountId,
      position: `${lsn.toString(16).toUpperCase().padStart(16, '0')}-0000000000`,
      resource: 'invoices',
      key: { id: Number(record) },
      data: { id: Number(record), status: 'paid', memo: text, total: '129.90' },
      ...(type === 'invoice.updated' ? { previous: { status: 'open', memo: `${text}?` } } : {}),
      transaction: { id: '7432', index: 0 },
    };
    await api.pool.query(
      `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
       values ($1, 0, $2, 100, $3, 'invoices', $4, $5, $6)`,
      [`0/${lsn.toString(16)}`, accountId, type, JSON.stringify([record]), at, JSON.stringify(payload)],
    );
  }
  return after + 0x10 * ids.length;
}

/** One that works, with attempts of every outcome and events given up, and one in each other state. */
async function addWebhooks(
  api: TestApi,
  { id: accountId, key }: Customer,
  { name, text, urlPath }: CustomerTexts,
): Promise<void> {
  const subscribe = async (host: string, body: Readonly<Record<string, unknown>> = {}) => {
    const request = { url: `https://${host}.example/${urlPath}`, events: ['*'], description: name, ...body };
    const { status, json, text: fault } = await api.call('POST', '/webhooks', { key, body: request });
    if (status !== 201) throw new Error(fault);
    return json.id as string;
  };
  const failing = await subscribe('orders', { description: null });
  await api.pool.query(
    `update webhooks set failing_since = now() - interval '3 hours', failures_in_row = 12, rest_until = now() + interval '10 minutes' where id = $1`,
    [failing],
  );
  const gone = await subscribe('crm', { description: null });
  await api.pool.query(
    `update webhooks set status = 'disabled', status_reason = 'the endpoint returned 410 Gone' where id = $1`,
    [gone],
  );
  const paused = await subscribe('search', { batch: { max_events: 500, max_wait_ms: 200 }, order: 'strict' });
  await api.call('POST', `/webhooks/${paused}/pause`, { key });
  const healthy = await subscribe('warehouse', { headers: { 'X-Team': 'billing' } });
  const { rows } = await api.pool.query<{ commit_lsn: string; id: string }>(
    `select commit_lsn::text, payload::json ->> 'id' as id from events where account_id = $1 order by commit_lsn`,
    [accountId],
  );
  const nowMs = Date.now();
  const outcomes = [
    { status: undefined, outcome: 'tls' },
    { status: undefined, outcome: 'timeout' },
    { status: 429, outcome: 'failed' },
    { status: 500, outcome: 'failed' },
    { status: 200, outcome: 'delivered' },
  ];
  await recordAttempts(
    api.pool,
    rows.map(({ id }, n) => {
      const { status, outcome } = outcomes[n % 7] ?? { status: 204, outcome: 'delivered' };
      return {
        endpointId: healthy,
        eventId: id,
        batch: undefined,
        attempt: (n % 3) + 1,
        startedAtMs: nowMs - n * 47_000,
        committedAtMs: undefined,
        durationMs: 20 + ((n * 61) % 400),
        status,
        outcome,
        excerpt: status === 204 ? '' : text,
        request: { signature: 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=', ownHeaders: ['X-Team'] },
        response:
          status === undefined
            ? undefined
            : {
                headers: { 'content-type': 'text/html', 'x-note': text.slice(0, 180) },
                omittedCount: 2,
                isBodyCut: status === 500,
              },
      };
    }),
  );
  await fillStats(api, healthy, nowMs);
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, state, last_error)
     select $1, commit_lsn, idx, committed_at, 'invoices/["' || commit_lsn || '"]', 10, 'dead', $3
       from events where account_id = $2 order by commit_lsn limit 5`,
    [
      healthy,
      accountId,
      JSON.stringify({
        at: new Date(nowMs - 7_200_000).toISOString(),
        class: 'status',
        status: 413,
        excerpt: text,
      }),
    ],
  );
}

/** Deliveries of a day: busier by day, with an outage some hours ago. */
export async function fillStats(api: TestApi, id: string, nowMs = Date.now()): Promise<void> {
  for (let n = 0; n < 288; n += 1) {
    const isOutage = n > 60 && n < 78;
    const busy = Math.round(120 + 90 * Math.sin(n / 40) + ((n * 37) % 23));
    const [delivered, failed] = isOutage ? [Math.round(busy / 6), 40] : [busy, n % 9 === 0 ? 2 : 0];
    const durations = new Array<number>(64).fill(0);
    durations[durationClass(38)] = delivered;
    durations[durationClass(420)] = failed + Math.round(delivered / 12);
    await api.pool.query(
      `insert into webhook_stats (webhook_id, bucket, delivered, failed, delivered_events, failed_events, durations)
       values ($1, $2, $3::int, $4::int, $3::int, $4::int, $5) on conflict do nothing`,
      [id, new Date((Math.floor(nowMs / 300_000) - n) * 300_000), delivered, failed, durations],
    );
  }
}

/** A job that has ended, with items that failed, and one that waits. */
async function addJobs(world: BulkWorld, { key, ids }: Customer, { text }: CustomerTexts): Promise<void> {
  const request = { resource: 'invoices', operation: 'void', async: true };
  const { json, text: fault } = await world.submit(key, {
    ...request,
    ids: [...ids.slice(0, 12), '7777777', text.slice(0, 200)],
  });
  if (json.job_id === undefined) throw new Error(fault);
  const stop = await world.startWorker();
  await world.until(key, json.job_id);
  await stop();
  await world.submit(key, { ...request, filter: { status: 'open' } });
}
