import { afterAll, beforeAll, expect, test } from 'vitest';
import { webhookPages } from '../../../services/api/dashboard/webhooks/webhook-pages.ts';
import { DISABLED_REASONS } from '../../../shared/domain/disabled-reasons.ts';
import { eventId } from '../../../shared/domain/position.ts';
import { openApiOver } from '../../support/api-over-dispatcher.ts';
import type { TestApi } from '../../support/api-server.ts';
import { createDashboardVisitor, describeEachSession } from '../../support/dashboard.ts';
import {
  type DispatcherBed,
  invoiceChange,
  openDispatcherBed,
  untilCursor,
} from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&</pre></script>`;

let bed: DispatcherBed;
let api: TestApi;
let receiver: WebhookReceiver;
const cleanup = new AsyncDisposableStack();

beforeAll(async () => {
  bed = cleanup.use(await openDispatcherBed());
  api = cleanup.use(await openApiOver(bed));
  receiver = cleanup.use(await openWebhookReceiver());
  cleanup.use(await bed.start());
});
afterAll(() => cleanup.disposeAsync());

type Account = Awaited<ReturnType<TestApi['account']>>;
type Fields = readonly (readonly [string, string])[];

/** A browser without JavaScript, in a session that may do everything. */
async function enter(account: Account) {
  const visitor = createDashboardVisitor(api);
  const cookie = await visitor.open(account);
  const csrf = await visitor.csrf(cookie);
  return {
    show: (path: string) => visitor.show(path, cookie),
    send(path: string, fields: Fields = []) {
      const sent = new URLSearchParams({ csrf });
      for (const [name, value] of fields) sent.append(name, value);
      return visitor.send(path, sent, cookie);
    },
  };
}

async function subscribe({ key }: Account, body: Record<string, unknown> = {}): Promise<string> {
  const made = await api.call('POST', '/webhooks', { key, body: { url: receiver.url, ...body } });
  expect(made.status, made.text).toBe(201);
  return made.json.id;
}

const requestOf = (text: string) => /name="request" value="([^"]+)"/.exec(text)?.[1] ?? '';

/** As the form has it when it is opened. */
const FORM: Fields = [
  ['scope', 'all'],
  ['start', 'now'],
  ['order', 'record'],
  ['max_in_flight', '50'],
];

/** Events have places of their own in the feed of this file. */
let lastLsn = 1_000;
async function addEvent(account: Account, record = 1): Promise<{ id: string; lsn: number }> {
  lastLsn += 1;
  await bed.addEvents([{ accountId: account.id, lsn: lastLsn, record }]);
  return { id: eventId({ commitLsn: BigInt(lastLsn), index: 0 }), lsn: lastLsn };
}

async function attemptsOf({ key }: Account, id: string, query = '') {
  const { json } = await api.call('GET', `/webhooks/${id}/attempts?${query}`, { key });
  return json.data as { id: string; event_id: string; outcome: string; status: number | null }[];
}

test('a refused URL is explained at its field, and what was typed stays', async () => {
  const account = await api.account();
  const session = await enter(account);
  const post = (fields: Fields) => session.send('/dashboard/webhooks/new', [...FORM.slice(1), ...fields]);
  const { status, text } = await post([
    ['scope', 'chosen'],
    ['event', 'invoice.created'],
    ['url', 'https://10.0.0.1/hook'],
    ['description', 'Warehouse'],
    ['headers', 'X-Team: billing\nHost: evil.example\nnonsense'],
    ['batch_events', '10'],
    ['rate_limit', 'many'],
  ]);
  expect(status).toBe(422);
  expect(text).toMatch(/id="url-fault">must not point to this address \(private\)/);
  expect(text).toMatch(/aria-describedby="url-hint url-fault"[^>]* aria-invalid="true"/);
  expect(text).toMatch(/id="headers-fault">Host: is set by Tandem; nonsense : is not a header name/);
  expect(text).toMatch(/id="rate_limit-fault">/);
  expect(text).toContain('<details class="more" open>');
  for (const kept of [
    'value="Warehouse"',
    'value="10"',
    'X-Team: billing',
    'value="invoice.created" checked',
  ]) {
    expect(text).toContain(kept);
  }
  const nothing = await post([
    ['scope', 'chosen'],
    ['url', receiver.url],
  ]);
  expect(nothing.text).toContain('id="scope-fault">Choose at least one event, or all.');
  for (const url of [
    'ftp://example.com',
    'nonsense',
    'https://user:pw@example.com/',
    'https://172.16.0.1/',
  ]) {
    expect([
      url,
      (
        await post([
          ['scope', 'all'],
          ['url', url],
        ])
      ).text,
    ]).toEqual([url, expect.stringContaining('id="url-fault">must')]);
  }
  expect((await api.call('GET', '/webhooks', { key: account.key })).json.data).toEqual([]);
});

test('sent twice, a form makes one endpoint, whose secret is in its responses alone; it is edited, and its secret rotated', async () => {
  const account = await api.account();
  const session = await enter(account);
  const form = await session.show('/dashboard/webhooks/new');
  const fields: Fields = [
    ...FORM.slice(1),
    ['request', requestOf(form.text)],
    ['scope', 'chosen'],
    ['event', 'invoice.*'],
    ['event', 'export.completed'],
    ['url', receiver.url],
    ['headers', 'X-Team: billing\n\nAuthorization: Bearer a:b'],
    ['batch_events', '100'],
    ['batch_wait', '250'],
    ['rate_limit', '20'],
  ];
  const created = await session.send('/dashboard/webhooks/new', fields);
  const secret = /whsec_[\w+/]+=*/.exec(created.text)?.[0] ?? '';
  expect([created.status, secret]).toEqual([200, expect.stringMatching(/^whsec_.{44}$/)]);
  expect((await session.send('/dashboard/webhooks/new', fields)).text).toContain(secret);
  const { json } = await api.call('GET', '/webhooks', { key: account.key });
  expect(json.data).toMatchObject([
    {
      url: receiver.url,
      events: ['invoice.*', 'export.completed'],
      headers: { 'X-Team': 'billing', Authorization: 'Bearer a:b' },
      batch: { max_events: 100, max_wait_ms: 250 },
      rate_limit: 20,
      description: null,
    },
  ]);
  const path = `/dashboard/webhooks/${json.data[0].id}`;
  expect((await session.show(path)).text).not.toContain('whsec_');

  const edit = await session.show(`${path}/edit`);
  expect(edit.text).toMatch(/Authorization: Bearer a:b<\/textarea>/);
  for (const kept of [
    'id="scope-chosen" name="scope" value="chosen" checked',
    'value="invoice.*" checked',
    'value="250"',
  ]) {
    expect(edit.text).toContain(kept);
  }
  const saved = await session.send(`${path}/edit`, [
    ['url', `${receiver.url}?2`],
    ['description', 'Mine'],
    ['scope', 'all'],
    ['order', 'strict'],
    ['headers', ''],
  ]);
  expect([saved.status, saved.headers.get('location')]).toEqual([303, `${path}?done=saved`]);
  expect((await api.call('GET', `/webhooks/${json.data[0].id}`, { key: account.key })).json).toMatchObject({
    url: `${receiver.url}?2`,
    description: 'Mine',
    events: ['*'],
    headers: {},
    batch: null,
    rate_limit: null,
    order: 'strict',
  });

  const before = await session.show(path);
  const request: Fields = [['request', requestOf(before.text)]];
  const rotated = await session.send(`${path}/rotate`, request);
  const next = /whsec_[\w+/]+=*/.exec(rotated.text)?.[0];
  expect([rotated.status, next === secret]).toEqual([200, false]);
  expect(rotated.text).toContain('each request is signed with the old secret too');
  expect((await session.send(`${path}/rotate`, request)).text).toContain(next);
  const after = await session.show(path);
  expect(after.text).toContain('Two secrets sign each request until');
  expect(requestOf(after.text)).not.toBe(requestOf(before.text));
});

test('an endpoint starts after an export that is chosen, and not after one of another account', async () => {
  const account = await api.account();
  const session = await enter(account);
  const completed = async ({ key }: Account) => {
    const { json } = await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
    await api.pool.query(
      `/* arranged */ update exports set status = 'completed', phase = 'done', start_lsn = '0/10', sealed_lsn = '0/40',
         snapshot = jsonb_build_object('taken_at', now(), 'lsn', '0/30', 'xmin', '150', 'xmax', '200', 'xip', '["150"]'::jsonb)
       where id = $1`,
      [json.id],
    );
    return json.id as string;
  };
  const own = await completed(account);
  const foreign = await completed(await api.account());
  const form = await session.show(`/dashboard/webhooks/new?after_export=${own}`);
  expect(form.text).toMatch(/value="after_export" checked/);
  expect(form.text).toContain(`<option value="${own}" selected>`);
  expect(form.text).not.toContain(foreign);
  const post = (id: string) =>
    session.send('/dashboard/webhooks/new', [
      ...FORM.filter(([name]) => name !== 'start'),
      ['url', receiver.url],
      ['start', 'after_export'],
      ['after_export', id],
    ]);
  const refused = await post(foreign);
  expect([refused.status, refused.text]).toEqual([404, expect.stringContaining('There is no export')]);
  const made = await post(own);
  expect(made.status, made.text).toBe(200);
  const { json } = await api.call('GET', '/webhooks', { key: account.key });
  expect(json.data).toMatchObject([{ start: { after_export: own } }]);
});

test('a delivery fails, is explained with what was sent and came back, and is sent again', async () => {
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = (_, response) => {
    response.writeHead(503, { 'x-note': HOSTILE, 'retry-after': '1' }).end(`${HOSTILE}down for maintenance`);
    return undefined;
  };
  const id = await subscribe(account, { headers: { 'X-Key': 'a secret of the customer' } });
  const path = `/dashboard/webhooks/${id}`;
  const { id: event } = await addEvent(account);
  const [attempt] = await waitFor('an attempt that failed', async () => {
    const found = await attemptsOf(account, id);
    return found.length > 0 ? found : undefined;
  });
  const list = await session.show(`${path}/attempts?outcome=failed&event_id=${event}`);
  expect(list.text).toContain('Status 503 · Not available');
  const page = await session.show(`${path}/attempts/${attempt?.id}`);
  expect(page.status).toBe(200);
  for (const shown of [
    'responded for the receiver',
    '/docs/failures#502-503-or-504',
    'down for maintenance',
    'webhook-signature',
    'x-note',
    '[hidden]',
    `&quot;id&quot;:&quot;${event}&quot;`,
  ]) {
    expect(page.text).toContain(shown);
  }
  expect(page.text).not.toContain('<img src=x');
  expect(page.text).not.toContain('a secret of the customer');
  expect((await api.call('GET', '/docs/failures')).text).toContain('id="502-503-or-504"');
  const endpoint = await session.show(path);
  expect(endpoint.text).toMatch(/data-text="behind">1 event</);
  expect(endpoint.text).toContain('Status 503 · Not available');

  receiver.answer = () => 204;
  const again = await session.send(`${path}/redeliver`, [
    ['event', event],
    ['attempt', attempt?.id ?? ''],
  ]);
  expect(again.headers.get('location')).toMatch(
    new RegExp(`^${path}/attempts/${attempt?.id}\\?done=(queued|upcoming)$`),
  );
  expect((await session.show(again.headers.get('location') ?? '')).text).toContain('role="status"');
  await waitFor('its delivery', async () => {
    const found = await attemptsOf(account, id, 'outcome=delivered');
    return found.some(({ event_id }) => event_id === event);
  });
  expect((await session.show(`${path}/attempts?outcome=delivered`)).text).toContain('Status 204 · Delivered');
});

test('the page of an event shows how its delivery fails, and delivers it again', async () => {
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 500;
  const id = await subscribe(account);
  lastLsn += 1;
  const before = ['1', account.sourceId, 'memo', null];
  await bed.publish([invoiceChange({ account: account.sourceId, lsn: lastLsn, op: 'update', before })]);
  const event = eventId({ commitLsn: BigInt(lastLsn), index: 0 });
  const path = `/dashboard/events/${event}`;
  await waitFor('the failure', async () =>
    (await session.show(path)).text.includes('<strong>Status 500 · The receiver failed</strong>'),
  );
  receiver.answer = () => 200;
  expect((await session.show(path)).text).toMatch(/memo<ins class="value"> \d+<\/ins>/);
  const sent = await session.send(`${path}/redeliver`, [['webhook_id', id]]);
  const { text } = await session.show(sent.headers.get('location') ?? '');
  expect([sent.status, text]).toEqual([303, expect.stringContaining('role="status"')]);
  await waitFor('the delivery', async () => {
    const page = (await session.show(path)).text;
    return (
      page.includes('data-tone="green">Delivered') && page.includes('<strong>Status 200 · Delivered</strong>')
    );
  });
});

test('of a large batch the attempt shows the first events and the beginning of its body', async () => {
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 204;
  const id = await subscribe(account, { batch: { max_events: 500, max_wait_ms: 0 } });
  await api.call('POST', `/webhooks/${id}/pause`, { key: account.key });
  const from = lastLsn + 1;
  lastLsn += 400;
  const lsns = Array.from({ length: 400 }, (_, n) => from + n);
  await bed.addEvents(lsns.map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await api.call('POST', `/webhooks/${id}/resume`, { key: account.key });
  await untilCursor(bed, id, lastLsn);
  const [attempt] = await waitFor('its attempt', async () => {
    const found = await attemptsOf(account, id);
    return found.length > 0 ? found : undefined;
  });
  const path = `/dashboard/webhooks/${id}/attempts`;
  expect((await session.show(path)).text).toContain('and 399 more in the batch');
  const { text } = await session.show(`${path}/${attempt?.id}`);
  expect(text).toContain('400 events in this batch');
  expect(text).toContain('and 380 more');
  expect(text.match(/name="event" value="evt_/g)).toHaveLength(20);
  expect(text).toContain('The first 16,384 characters of');
  expect(text.length).toBeLessThan(100_000);
});

test('a test is sent and its result explained; the endpoint is paused, resumed and deleted', async () => {
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 301;
  const id = await subscribe(account);
  const path = `/dashboard/webhooks/${id}`;
  const sent = await session.send(`${path}/test`);
  expect(sent.headers.get('location')).toMatch(/\?test=test_\w+$/);
  const shown = async (reply: { headers: Headers }) => {
    await waitFor('the attempt of the test', async () => (await attemptsOf(account, id)).length > 0);
    return (await session.show(reply.headers.get('location') ?? '')).text;
  };
  expect(await shown(sent)).toContain('A redirect is never followed');
  receiver.answer = () => 200;
  const second = await session.send(`${path}/test`);
  await waitFor('the second test', async () => (await attemptsOf(account, id)).length > 1);
  expect(await shown(second)).toContain('Your receiver accepted it: status 200');

  expect((await session.send(`${path}/pause`)).headers.get('location')).toBe(`${path}?done=paused`);
  expect((await session.show(path)).text).toContain('The endpoint is paused.');
  const { lsn } = await addEvent(account);
  expect((await session.send(`${path}/resume`)).headers.get('location')).toBe(`${path}?done=resumed`);
  await untilCursor(bed, id, lsn);
  await api.pool.query(
    `update webhooks set status = 'disabled', missed_events = true, status_reason = $2 where id = $1`,
    [id, DISABLED_REASONS.missed],
  );
  const refused = await session.send(`${path}/resume`);
  expect([refused.status, refused.text]).toEqual([409, expect.stringContaining('no longer retained')]);
  expect(refused.text).toContain('Events that it did not get are no longer kept.');
  expect((await session.send(`${path}/delete`)).headers.get('location')).toBe(
    '/dashboard/webhooks?done=deleted',
  );
  expect((await session.show(path)).status).toBe(404);
});

test('what was given up is listed and sent again, alone or all since a time; what is refused is said on the page', async () => {
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 204;
  const id = await subscribe(account);
  const path = `/dashboard/webhooks/${id}`;
  const events = [await addEvent(account, 1), await addEvent(account, 2), await addEvent(account, 3)];
  await untilCursor(bed, id, lastLsn);
  receiver.answer = () => 204;
  await bed.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, state, last_error)
     select $1, e.commit_lsn, e.idx, e.committed_at, 'invoices/["1"]', 10, now(), 'dead', $3
       from events e where e.account_id = $2`,
    [
      id,
      account.id,
      JSON.stringify({ at: new Date().toISOString(), class: 'status', status: 413, excerpt: HOSTILE }),
    ],
  );
  const dead = async () => (await session.show(`${path}/dead-letters`)).text;
  const before = await dead();
  expect(before).toContain('Status 413 · Too large');
  expect(before.match(/name="event" value="evt_/g)).toHaveLength(3);
  expect(before).not.toContain('<img src=x');
  const one = await session.send(`${path}/redeliver`, [
    ['event', events[0]?.id ?? ''],
    ['list', 'dead'],
  ]);
  expect(one.headers.get('location')).toBe(`${path}/dead-letters?done=queued`);
  await waitFor(
    'one of them less',
    async () => (await dead()).match(/name="event" value="evt_/g)?.length === 2,
  );

  const since = (value: string) =>
    session.send(`${path}/recover`, [
      ['from', value],
      ['to', ''],
    ]);
  const refused = await since('2999-01-01T00:00');
  expect([refused.status, refused.text]).toEqual([
    422,
    expect.stringContaining('must be before to, and before now'),
  ]);
  expect(refused.text).toContain('value="2999-01-01T00:00"');
  expect((await since('yesterday')).text).toContain('must be an RFC 3339 timestamp');
  const today = new Date(Date.now() - 3_600_000).toISOString().slice(0, 16);
  expect((await since(today)).headers.get('location')).toBe(`${path}?done=recovering`);
  await waitFor('none of them left', async () => (await dead()).includes('No dead letters'));
  for (const event of events) {
    await receiver.until(
      'each event a second time',
      (all) => all.filter((r) => r.id === event.id).length >= 2,
    );
  }
  const replayed = await session.send(`${path}/replay`, [
    ['start', 'since'],
    ['since', today],
  ]);
  expect(replayed.headers.get('location')).toBe(`${path}?done=replaying`);
  for (const event of events) {
    await receiver.until(
      'each event a third time',
      (all) => all.filter((r) => r.id === event.id).length >= 3,
    );
  }
});

test('a filter that is refused keeps what was typed', async () => {
  const account = await api.account();
  const session = await enter(account);
  const path = `/dashboard/webhooks/${await subscribe(account)}/attempts`;
  const odd = await session.show(`${path}?event_id=${encodeURIComponent(HOSTILE)}&from=2026-01-01T00:00`);
  expect([odd.status, odd.text]).toEqual([422, expect.stringContaining('must be the ID of an event')]);
  expect(odd.text).toContain('value="2026-01-01T00:00"');
  expect(odd.text).not.toContain('<img src=x');
  const empty = await session.show(`${path}?outcome=&event_id=&from=&to=`);
  expect([empty.status, empty.text]).toEqual([
    200,
    expect.stringContaining('No attempts in the last 7 days.'),
  ]);
});

test('texts of customers stay texts, in the form, the list and the page of an endpoint', async () => {
  const account = await api.account();
  const session = await enter(account);
  const id = await subscribe(account, {
    description: HOSTILE,
    headers: { 'X-A': HOSTILE },
    url: `${receiver.url}?${'long'.repeat(200)}`,
  });
  const paths = ['', `/${id}`, `/${id}/edit`, `/${id}/attempts`, `/${id}/dead-letters`];
  for (const path of paths.map((rest) => `/dashboard/webhooks${rest}`)) {
    const { status, text } = await session.show(path);
    expect([path, status]).toEqual([path, 200]);
    expect(text, path).toContain('&lt;img src=x');
    expect(text, path).not.toContain('<img src=x');
  }
});

describeEachSession(webhookPages({ frameAncestors: [] }), {
  api: () => api,
  async arrange(owner, { method, path }) {
    receiver.answer = () => 204;
    const id = await subscribe(owner, { description: 'Only mine' });
    const isObject = path.includes('{id}');
    const { id: event, lsn } = await addEvent(owner);
    const attempt = path.includes('{attempt}')
      ? await waitFor('an attempt', async () => (await attemptsOf(owner, id))[0]?.id)
      : '';
    // What is delivered meanwhile is no change of the session.
    if (method === 'POST') {
      await untilCursor(bed, id, lsn);
      await api.call('POST', `/webhooks/${id}/pause`, { key: owner.key });
    }
    const facts = async () => {
      const { rows } = await api.pool.query(
        `select to_jsonb(w) - 'applied_version' - 'lease_owner' as endpoint,
                (select count(*) from webhook_tests t where t.webhook_id = w.id) as tests,
                (select count(*) from webhook_replays r where r.webhook_id = w.id) as replays
           from webhooks w where id = $1`,
        [id],
      );
      return JSON.stringify(rows);
    };
    const before = await facts();
    return {
      params: { id, attempt },
      fields: {
        ...Object.fromEntries(FORM),
        url: receiver.url,
        event,
        from: '2026-01-01T00:00',
        since: new Date(Date.now() - 60_000).toISOString().slice(0, 16),
      },
      own: isObject ? 'Only mine' : id,
      // The responses to these forms have the secret.
      ...(method === 'POST' && /new$|rotate$/.test(path) ? { good: 200 } : {}),
      ...(method === 'POST' && isObject ? { isChanged: async () => (await facts()) !== before } : {}),
      async end() {
        const { json } = await api.call('GET', '/webhooks', { key: owner.key });
        for (const { id } of json.data) await api.call('DELETE', `/webhooks/${id}`, { key: owner.key });
      },
    };
  },
});
