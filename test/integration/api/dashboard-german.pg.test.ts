import { afterAll, beforeAll, expect, test } from 'vitest';
import { operatorPages } from '../../../services/api/dashboard/operator/operator-routes.ts';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { ADMIN_KEY, type ApiReply } from '../../support/api-server.ts';
import { createDashboardVisitor, csrfOf, type DashboardVisitor } from '../../support/dashboard.ts';
import { type DashboardWorld, openDashboardWorld } from '../../support/dashboard-world.ts';

let world: DashboardWorld;
let visitor: DashboardVisitor;
let account: Awaited<ReturnType<DashboardWorld['arrange']>>;
/** A session in German with every right, and the token of its forms. */
let cookie: string;
let csrf: string;
/** An endpoint, a completed export and a job of the account. */
const ids: Record<string, string> = {};

beforeAll(async () => {
  world = await openDashboardWorld();
  visitor = createDashboardVisitor(world.api);
  account = await world.arrange();
  cookie = await visitor.open(account, { scopes: SCOPES, locale: 'de-DE' });
  csrf = await visitor.csrf(cookie);
  const first = async (path: string) =>
    (await world.api.call('GET', path, { key: account.key })).json.data[0];
  ids.endpoint = (await first('/webhooks')).id;
  ids.export = (await first('/exports?status=completed&kind=records')).id;
  ids.job = (await first('/bulk/operations?status=completed')).job_id;
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** Words that an English sentence of the API has, and none in German. */
const ENGLISH =
  /\b(?:the|must|may|is|are|cannot|give|with|than|least|most|has|have|be|been|this|there|no|not|of|and|or|for|to|use|required)\b/i;

const plain = (markup: string) =>
  markup
    .replace(/<(?:code|select|textarea|pre)\b.*?<\/(?:code|select|textarea|pre)>/gs, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replace(/\s+/g, ' ')
    .trim();

/** What a page says is wrong. */
function faultsOf({ text }: ApiReply): string[] {
  const found = [
    ...text.matchAll(/<(p|div) class="(?:fault|field-fault)".*?<\/\1>/gs),
    ...text.matchAll(/<p class="lead">.*?<\/p>\n(?:<ul>.*?<\/ul>)?/gs),
  ];
  return found.map(([markup]) => plain(markup)).filter((fault) => fault !== '');
}

/** Values that the API repeats: names of its own, which no language translates. */
const NAMES = /"[^"]*"|„[^“]*“|\S*[_./:<>*]\S*|\b(?:or|and)\b(?=[, ])/g;

const FORMS: readonly (readonly [path: string, fields: Record<string, string>])[] = [
  ['/dashboard/exports/new', { resource: 'invoices', max_rows_per_second: '5' }],
  ['/dashboard/exports/new', { resource: 'invoices', max_rows_per_second: 'x', format: 'xml' }],
  ['/dashboard/exports/new', { resource: 'nothing', from: 'soon' }],
  ['/dashboard/exports/new', { resource: 'invoices', from: '2026-02-02T00:00', to: '2026-02-01T00:00' }],
  ['/dashboard/exports/new', { resource: 'invoices', format: 'parquet', compression: 'gzip' }],
  ['/dashboard/exports/new', { resource: 'invoices', kind: 'as_of', as_of: '2099-01-01T00:00' }],
  ['/dashboard/exports/new', { resource: 'invoices', kind: 'as_of', as_of: '2001-01-01T00:00' }],
  ['/dashboard/exports/new', { kind: 'changes', changes_since: 'exp_none' }],
  ['/dashboard/exports/new', { 'field:invoices': 'nothing', resource: 'invoices' }],
  ['/dashboard/exports/{export}', { url: 'ftp://x' }],
  ['/dashboard/exports/{export}', { url: 'nothing' }],
  ['/dashboard/verify/new', { resource: 'nothing' }],
  [
    '/dashboard/webhooks/new',
    {
      url: 'https://user:pass@receiver.example',
      scope: 'chosen',
      event: 'nothing.created',
      headers: 'Host: x\nohne Doppelpunkt\nX-A: ü',
      max_in_flight: '1000',
      rate_limit: 'x',
      batch_events: '0',
      batch_wait: '100000000',
      description: 'x'.repeat(501),
      order: 'none',
    },
  ],
  ['/dashboard/webhooks/new', { url: 'http://127.0.0.1:22/', scope: 'chosen' }],
  ['/dashboard/webhooks/new', { url: '', start: 'since', since: 'soon', scope: 'all' }],
  ['/dashboard/webhooks/new', { url: 'https://receiver.example', start: 'since', since: '2001-01-01T00:00' }],
  ['/dashboard/webhooks/new', { url: 'https://receiver.example', start: 'after_export', after_export: '' }],
  [
    '/dashboard/webhooks/new',
    { url: 'https://receiver.example', start: 'after_export', after_export: 'exp_x' },
  ],
  ['/dashboard/webhooks/{endpoint}/edit', { url: 'https://receiver.example:22/ü', max_in_flight: '0' }],
  ['/dashboard/webhooks/{endpoint}/recover', { from: '2099-01-01T00:00' }],
  ['/dashboard/webhooks/{endpoint}/recover', { from: 'soon' }],
  ['/dashboard/webhooks/{endpoint}/replay', { start: 'since', since: 'soon' }],
  ['/dashboard/webhooks/{endpoint}/replay', { start: 'since', since: '2001-01-01T00:00' }],
  [
    '/dashboard/bulk/new/invoices/void',
    { by: 'filter', 'field.0': 'id', 'operator.0': 'eq', 'value.0': 'x' },
  ],
  [
    '/dashboard/bulk/new/invoices/void',
    { by: 'filter', 'field.0': 'nothing', 'operator.0': 'eq', 'value.0': '1' },
  ],
  [
    '/dashboard/bulk/new/invoices/void',
    { by: 'filter', 'field.0': 'id', 'operator.0': 'prefix', 'value.0': '1' },
  ],
  [
    '/dashboard/bulk/new/invoices/void',
    { by: 'filter', 'field.0': 'status', 'operator.0': 'in', 'value.0': '' },
  ],
  ['/dashboard/bulk/new/invoices/void', { by: 'ids', ids: '' }],
  ['/dashboard/bulk/new/invoices/void', { by: 'ids', ids: '1', max_failures: '0' }],
  ['/dashboard/bulk/new/invoices/void', { by: 'all' }],
  ['/dashboard/bulk/new/invoices/void', { by: 'file', file_id: 'file_none' }],
  ['/dashboard/keys/new', { name: 'x' }],
  ['/dashboard/keys/new', { name: 'x'.repeat(201), scope: 'nothing:read' }],
  ['/dashboard/events/{event}/redeliver', { webhook: 'whk_none' }],
];

const SEARCHES: readonly string[] = [
  '/dashboard/events?type=nothing',
  '/dashboard/events?from=soon&to=later',
  '/dashboard/events?cursor=x',
  '/dashboard/exports?status=none',
  '/dashboard/exports?cursor=x',
  '/dashboard/webhooks?cursor=x',
  '/dashboard/webhooks/{endpoint}/attempts?outcome=none&event_id=x',
  '/dashboard/webhooks/{endpoint}/attempts?from=soon',
  '/dashboard/bulk?status=none',
  '/dashboard/bulk/{job}/results?status=none',
  '/dashboard/bulk/{job}/results?code=x',
  '/dashboard/keys?status=none',
  '/dashboard/audit?action=none&from=soon',
  '/dashboard/audit?cursor=x',
  '/dashboard/exports/exp_none',
  '/dashboard/webhooks/whk_none',
  '/dashboard/bulk/blk_none',
  '/dashboard/events/evt_none',
  '/dashboard/verify/exp_none',
];

const filled = (path: string) =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? 'evt_00000000000000010000000000');

function expectGerman(reply: ApiReply, what: string): void {
  expect(reply.status, what).toBeGreaterThanOrEqual(400);
  expect(reply.text, what).toContain('<html lang="de"');
  const faults = faultsOf(reply);
  expect(faults, what).not.toEqual([]);
  const english = faults.filter((fault) => ENGLISH.test(fault.replaceAll(NAMES, ' ')));
  expect(english, what).toEqual([]);
}

test.each(FORMS)('%s with wrong values %o is refused in German', async (path, fields) => {
  const own = path.startsWith('/dashboard/exports/new') ? { start: 'on' } : {};
  const reply = await visitor.send(filled(path), { csrf, ...own, ...fields }, cookie);
  expectGerman(reply, `${path} ${JSON.stringify(fields)}`);
});

test.each(SEARCHES)('%s is refused in German', async (path) => {
  expectGerman(await visitor.show(filled(path), cookie), path);
});

test('a file that holds no IDs, and lines that are none, are explained in German', async () => {
  const upload = (content: string | Uint8Array<ArrayBuffer>) =>
    visitor.sendFile(
      '/dashboard/bulk/new/invoices/void/file',
      { csrf },
      new File([content], 'ids.csv'),
      cookie,
    );
  for (const content of ['', 'x\ny\n', new Uint8Array([0xff, 0xfe, 0x31, 0]), 'PK\u0003\u0004 an archive']) {
    expectGerman(await upload(content), String(content));
  }
  const some = await upload(`${account.ids[0]}\nnothing\n`);
  expect(some.status).toBe(200);
  expect(some.text).toContain('ist kein Wert vom Typ');
});

test('a session that lacks a right is told so in German, and so is a form that is too large', async () => {
  const reader = await visitor.open(account, { scopes: ['exports:read'], locale: 'de-AT' });
  expectGerman(await visitor.show('/dashboard/keys', reader), 'keys');
  expectGerman(await visitor.send('/dashboard/keys/new', { x: 'y'.repeat(70_000) }, cookie), 'too large');
});

test('the operator’s forms are refused in German', async () => {
  const { api } = world;
  const signedIn = await visitor.send('/dashboard/login', { key: ADMIN_KEY }, '');
  const operator = (signedIn.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const token = csrfOf((await visitor.show('/dashboard/operator', operator)).text);
  const language = { csrf: token, language: 'de', next: '/dashboard/operator' };
  expect((await visitor.send('/dashboard/operator/language', language, operator)).status).toBe(303);
  const path = `/dashboard/operator/accounts/${account.id}`;
  const limits = {
    max_running_exports: '99',
    max_running_bulk_operations: 'x',
    items: 'many',
    period: 'year',
  };
  const forms = [
    ['/dashboard/operator/accounts/new', { name: '', source_id: '', ...limits }],
    [
      '/dashboard/operator/accounts/new',
      {
        name: 'x',
        source_id: account.sourceId,
        max_running_exports: '1',
        max_running_bulk_operations: '1',
        period: 'day',
      },
    ],
    [`${path}/edit`, { name: 'x'.repeat(300), ...limits }],
    [`${path}/portal-link`, { scope: 'none', expires_in: '1', next: 'https://evil.example', locale: 'xx' }],
  ] as const;
  for (const [form, fields] of forms) {
    expectGerman(await visitor.send(form, { csrf: token, ...fields }, operator), form);
  }
  for (const search of [
    'audit?action=none',
    'accounts?cursor=x',
    'failing-endpoints?cursor=x',
    'accounts/acct_none',
  ]) {
    expectGerman(await visitor.show(`/dashboard/operator/${search}`, operator), search);
  }
  expect(api.url).toBeDefined();
});

/** Forms that have no field which somebody fills in. */
const BUTTONS =
  /\/(?:cancel|delete|pause|resume|test|rotate|revoke|end|logout|language)$|\/sessions\/|\/redeliver$|\/estimate$/;

test('every form with fields is among them', () => {
  const pages = [...dashboardPages({ frameAncestors: [] }), ...operatorPages()];
  const paths = pages.filter(({ method }) => method === 'POST').map(({ path }) => path);
  const walked = [
    ...FORMS.map(([path]) => path),
    '/dashboard/bulk/new/invoices/void/file',
    '/dashboard/operator/accounts/new',
    '/dashboard/operator/accounts/{id}/edit',
    '/dashboard/operator/accounts/{id}/portal-link',
  ];
  const isWalked = (path: string) =>
    walked.some((form) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(form));
  expect(paths.filter((path) => !BUTTONS.test(path) && !isWalked(path))).toEqual([]);
});
