import { afterAll, beforeAll, expect, test } from 'vitest';
import { webhookPages } from '../../../services/api/dashboard/webhooks/webhook-pages.ts';
import { describeEachSession } from '../../support/dashboard.ts';
import { untilCursor } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  type Fields,
  openWebhookPages,
  WEBHOOK_FORM,
  type WebhookPages,
} from '../../support/webhook-pages.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&</pre></script>`;

let pages: WebhookPages;
beforeAll(async () => {
  pages = await openWebhookPages();
});
afterAll(() => pages?.[Symbol.asyncDispose]());

const requestOf = (text: string) => /name="request" value="([^"]+)"/.exec(text)?.[1] ?? '';

test('a refused URL is explained at its field, and what was typed stays', async () => {
  const { api, receiver, enter } = pages;
  const account = await api.account();
  const session = await enter(account);
  const post = (fields: Fields) =>
    session.send('/dashboard/webhooks/new', [...WEBHOOK_FORM.slice(1), ...fields]);
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
  const { api, receiver, enter } = pages;
  const account = await api.account();
  const session = await enter(account);
  const form = await session.show('/dashboard/webhooks/new');
  const fields: Fields = [
    ...WEBHOOK_FORM.slice(1),
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
  const { api, receiver, enter } = pages;
  const account = await api.account();
  const session = await enter(account);
  const completed = async ({ key }: { key: string }) => {
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
      ...WEBHOOK_FORM.filter(([name]) => name !== 'start'),
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

test('texts of customers stay texts, in the form, the list and the page of an endpoint', async () => {
  const { api, receiver, enter, subscribe } = pages;
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
  api: () => pages.api,
  async arrange(owner, { method, path }) {
    const { bed, api, receiver, subscribe, addEvent, attemptsOf } = pages;
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
        ...Object.fromEntries(WEBHOOK_FORM),
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
