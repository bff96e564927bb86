import { afterAll, beforeAll, expect, test } from 'vitest';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { eventId } from '../../../shared/domain/position.ts';
import type { TestApi } from '../../support/api-server.ts';
import {
  createDashboardVisitor,
  csrfOf,
  type DashboardVisitor,
  describeEachSession,
} from '../../support/dashboard.ts';
import { type FeedFixture, openFeedFixture } from '../../support/feed-fixture.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

let feed: FeedFixture;
let api: TestApi;
let visitor: DashboardVisitor;
beforeAll(async () => {
  feed = await openFeedFixture();
  api = feed.api;
  visitor = createDashboardVisitor(api);
});
afterAll(() => feed?.[Symbol.asyncDispose]());

type Account = Awaited<ReturnType<TestApi['account']>>;

let lastLsn = 0x100;

/** Records an event as the dispatcher would, later than all before it. @returns its ID */
async function record(
  { id: accountId }: Pick<Account, 'id'>,
  event: Readonly<Record<string, unknown>> = {},
  text = (payload: string) => payload,
): Promise<string> {
  lastLsn += 0x10;
  const id = eventId({ commitLsn: BigInt(lastLsn), index: 0 });
  const whole = {
    id,
    type: 'invoice.updated',
    timestamp: new Date().toISOString(),
    account_id: accountId,
    position: `${lastLsn.toString(16).toUpperCase().padStart(16, '0')}-0000000000`,
    resource: 'invoices',
    key: { id: 1 },
    data: { id: 1, number: 'INV-1', status: 'paid' },
    previous: { status: 'sent' },
    transaction: { id: '7432', index: 0 },
    ...event,
  };
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     values ($1, 0, $2, 100, $3, $4, $5, $6, $7)`,
    [
      `0/${lastLsn.toString(16)}`,
      accountId,
      whole.type,
      whole.resource,
      JSON.stringify(Object.values(whole.key ?? {}).map(String)),
      whole.timestamp,
      text(JSON.stringify(whole)),
    ],
  );
  return id;
}

async function newWebhook({ key }: Account, body: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const request = { url: 'https://receiver.example/hook', events: ['*'], ...body };
  return (await api.call('POST', '/webhooks', { key, body: request })).json.id;
}

describeEachSession(
  dashboardPages({ frameAncestors: [] }).filter(({ path }) => path.startsWith('/dashboard/events')),
  {
    api: () => api,
    async arrange(owner, { path }) {
      const webhook = await newWebhook(owner);
      const id = await record(owner);
      const told = async () => {
        const { json } = await api.call('GET', `/audit?subject_id=${webhook}&action=event.redelivered`, {
          key: owner.key,
        });
        return json.data.length === 1;
      };
      return {
        params: { id },
        fields: { webhook_id: webhook },
        own: path.includes('{id}') ? 'INV-1' : id,
        ...(path.endsWith('/redeliver') ? { isChanged: told } : {}),
        end: () => api.call('DELETE', `/webhooks/${webhook}`, { key: owner.key }),
      };
    },
  },
);

const idsIn = (text: string) =>
  [...text.matchAll(/href="\/dashboard\/events\/(evt_\w+)"/g)].map(([, id]) => id);

test('events are searched by type, key and time, newest first, by pages; what was typed stays', async () => {
  const account = await api.account();
  const cookie = await visitor.open(account);
  const search = (query: Record<string, string>) =>
    visitor.show(`/dashboard/events?${new URLSearchParams(query)}`, cookie);
  expect((await search({})).text).toContain('No events yet.');

  const at = (minute: number) => `2026-01-05T10:${String(minute).padStart(2, '0')}:00.000000Z`;
  const ids: string[] = [];
  for (let n = 0; n < 30; n += 1) {
    const type = n % 10 === 0 ? 'invoice.deleted' : 'invoice.updated';
    ids.unshift(await record(account, { type, key: { id: n }, timestamp: at(n) }));
  }
  const customer = await record(account, {
    type: 'customer.created',
    resource: 'customers',
    key: { id: '7' },
    previous: undefined,
    timestamp: at(40),
  });
  const first = await search({});
  expect(idsIn(first.text)).toEqual([customer, ...ids.slice(0, 24)]);
  const next = /href="([^"]+)" rel="next"/.exec(first.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
  const second = await visitor.show(next, cookie);
  expect(idsIn(second.text)).toEqual(ids.slice(24));
  expect(second.text).toContain('Newest events');
  expect(second.text).not.toContain('rel="next"');

  expect(idsIn((await search({ type: 'customer.*' })).text)).toEqual([customer]);
  expect(idsIn((await search({ type: 'invoice.deleted' })).text)).toEqual([ids[9], ids[19], ids[29]]);
  const keyed = await search({
    type: 'invoice.*',
    key: ' 12 ',
    from: '2026-01-05T10:12',
    to: '2026-01-05T10:12:01',
  });
  expect(idsIn(keyed.text)).toEqual([ids[17]]);
  for (const part of [
    '<option value="invoice.*" selected>',
    'name="key" value="12"',
    'value="2026-01-05T10:12"',
  ]) {
    expect(keyed.text).toContain(part);
  }
  expect((await search({ type: 'invoice.*', key: '12', to: '2026-01-05T10:12' })).text).toContain(
    'No event matches.',
  );

  for (const [query, reason] of [
    [{ key: '12' }, 'choose the type of the record'],
    [{ type: 'feed.reset', key: '12' }, 'choose the type of the record'],
    [{ type: HOSTILE }, 'must be event types of the feed'],
    [{ from: HOSTILE }, '<strong>From</strong>:'],
    [{ cursor: 'x.y' }, '<code>cursor</code>'],
  ] as const) {
    const refused = await search(query);
    expect([refused.status, refused.text]).toEqual([422, expect.stringContaining(reason)]);
    expect(refused.text).toContain('role="alert"');
    expect(refused.text).not.toContain('<img src=x');
    if ('key' in query) expect(refused.text).toContain('name="key" value="12"');
  }
});

test('an event shows what changed field by field, with all digits, and the whole of it as a file', async () => {
  const account = await api.account();
  const cookie = await visitor.open(account);
  const id = await record(
    account,
    {
      key: { id: 'a', part: 2 },
      data: {
        id: 'a',
        part: 2,
        total: 'TOTAL',
        name: `old ${HOSTILE}`,
        memo: '',
        gone: null,
        tags: ['a'],
        big: 'x'.repeat(90_000),
      },
      previous: { gone: 'soon', memo: 'text', name: `new ${HOSTILE}`, tags: [], total: 1.5, photo: 'p' },
      unchanged: ['photo', 'scan'],
      source: { bulk_job_id: 'blk_1' },
    },
    (payload) => payload.replace('"TOTAL"', '12345678901234567890.10'),
  );
  const { text } = await visitor.show(`/dashboard/events/${id}`, cookie);
  const table = /<table class="changes">(.*?)<\/table>/s.exec(text)?.[1] ?? '';
  const fields = [...table.matchAll(/<th scope="row"><code>(\w+)<\/code>/g)].map(([, name]) => name);
  expect(fields).toEqual(['total', 'name', 'memo', 'gone', 'tags', 'photo']);
  for (const part of [
    '<del class="value">1.5</del>',
    '<ins class="value">12345678901234567890.10</ins>',
    '<span class="value"><del class="value">new</del> &lt;img',
    '<span class="muted">empty text</span>',
    '<code>null</code>',
    '<ins class="value">[&quot;a&quot;]</ins>',
    '<span class="muted">not sent</span>',
  ]) {
    expect(table).toContain(part);
  }
  expect(text).toContain('invoices a, 2');
  expect(text).toMatch(/sent again: <code>photo<\/code> <code>scan<\/code>/);
  expect(text).toContain('href="/dashboard/bulk/blk_1"');
  expect(text).toContain('href="/dashboard/events?type=invoice.*&amp;key=%5B%22a%22%2C%222%22%5D"');
  expect(text).not.toContain('<img src=x');
  expect(text.length).toBeLessThan(60_000);
  expect(text).toContain('This is the beginning.');
  const file = await visitor.show(`/dashboard/events/${id}/json`, cookie);
  expect(file.headers.get('content-disposition')).toBe(`attachment; filename="${id}.json"`);
  expect(file.text).toBe((await api.call('GET', `/events/${id}`, { key: account.key })).text);
  expect(file.text).toContain('12345678901234567890.10');
});

test('an event without earlier values says so, and one of the account is shown too', async () => {
  const account = await api.account();
  const cookie = await visitor.open(account);
  const texts = [];
  for (const facts of [
    { previous: undefined },
    { type: 'invoice.created', previous: undefined },
    { type: 'invoice.deleted', previous: undefined },
    {
      type: 'feed.reset',
      key: null,
      previous: undefined,
      data: { reason: 'table_truncated', resources: ['invoices'] },
    },
  ]) {
    texts.push((await visitor.show(`/dashboard/events/${await record(account, facts)}`, cookie)).text);
  }
  expect(texts[0]).toContain('did not send the earlier values');
  expect(texts[1]).toContain('The record was created.');
  expect(texts[2]).toContain('The record was deleted.');
  expect(texts[3]).toContain('no event reports');
  expect(texts[3]).not.toContain('All events of this record');

  const body = { resource: 'invoices' };
  const { json } = await api.call('POST', '/exports', { key: account.key, body });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', started_at = now() where id = $1`,
    [json.id],
  );
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', completed_at = now(), error = '{"code": "x", "message": "y"}' where id = $1`,
    [json.id],
  );
  const { rows } = await api.pool.query(
    `select payload::jsonb->>'id' as id from deliverable_events where account_id = $1 and type = 'export.failed'`,
    [account.id],
  );
  const own = await visitor.show(`/dashboard/events/${rows[0]?.id}`, cookie);
  expect([own.status, own.text]).toEqual([200, expect.stringContaining('not part of the feed')]);
});

test('an event shows what became of it at each endpoint, and is delivered again to one', async () => {
  const account = await api.account();
  const cookie = await visitor.open(account);
  const id = await record(account);
  const page = async (by = cookie) => (await visitor.show(`/dashboard/events/${id}`, by)).text;
  expect(await page()).toContain('There are no webhook endpoints.');
  const other = await newWebhook(account, { events: ['customer.*'] });
  const webhook = await newWebhook(account, { url: 'https://receiver.example/hook?a="b' });
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt)
     values ($1, $2, 1, now(), 120, 500, 'failed', $3)`,
    [webhook, id, HOSTILE],
  );
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, state)
     select $1, commit_lsn, idx, committed_at, 'invoices/["1"]', 3, now() + interval '5 minutes', 'waiting' from events where payload like $2`,
    [webhook, `%${id}%`],
  );
  const text = await page();
  expect(text).toMatch(/href="\/dashboard\/webhooks\/whk_\w+">https:\/\/receiver\.example\/hook/);
  expect(text).toContain('Retrying');
  expect(text).toContain('3 failed attempts.');
  expect(text).toMatch(/Next attempt: <time data-text="next-whk/);
  expect(text).toMatch(/<strong>Status 500 · The receiver failed<\/strong> after 120 ms/);
  expect(text).toContain('&lt;img src=x');
  expect(text).not.toContain('<img src=x');
  expect(text).toContain('Not subscribed');
  expect(text.match(/action="\/dashboard\/events\/evt_\w+\/redeliver"/g)).toHaveLength(1);

  const send = (webhookId: string) =>
    visitor.send(`/dashboard/events/${id}/redeliver`, { csrf: csrfOf(text), webhook_id: webhookId }, cookie);
  expect((await send(other)).status).toBe(409);
  expect((await send(await newWebhook(await api.account()))).status).toBe(404);
  const sent = await send(webhook);
  const place = sent.headers.get('location') ?? '';
  expect(sent.status).toBe(303);
  expect(place).toMatch(new RegExp(`^/dashboard/events/${id}\\?done=(queued|upcoming)$`));
  expect((await visitor.show(place, cookie)).text).toContain('role="status"');
  const { json } = await api.call('GET', `/audit?action=event.redelivered`, { key: account.key });
  expect(json.data).toMatchObject([{ subject_id: webhook, details: { event: id } }]);

  const reader = await visitor.open(account, { scopes: SCOPES.filter((scope) => scope.endsWith(':read')) });
  expect(await page(reader)).not.toContain('/redeliver');
  const blind = await visitor.open(account, { scopes: ['events:read'] });
  expect(await page(blind)).not.toContain('receiver.example');
});
