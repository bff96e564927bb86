import { expect, test } from 'vitest';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { validate } from '../http/validate.ts';
import { webhookBodyRules, webhookBodySchema, webhookPatchSchema } from './request.ts';

const catalog: Catalog = {
  name: 'test',
  resources: [
    {
      name: 'invoices',
      table: { schema: 'public', name: 'invoices' },
      event: 'invoice',
      key: ['id'],
      account: 'account_id',
      range: undefined,
      softDelete: undefined,
      hide: [],
      related: [],
      operations: {},
      syncLimit: 100,
    },
  ],
};
const schema = webhookBodySchema(catalog, { allowNetworks: [], allowHttp: false });
const URL = 'https://example.com/hook';

function pointersOf(body: unknown): string[] {
  try {
    validate(schema, body, 'body', webhookBodyRules);
  } catch (error) {
    if (error instanceof AppError) return error.errors.map(({ pointer }) => pointer);
    throw error;
  }
  return [];
}

test('a URL is enough', () => {
  expect(validate(schema, { url: URL }, 'body')).toEqual({
    url: URL,
    events: ['*'],
    start: 'now',
    description: null,
    headers: {},
    max_in_flight: 50,
    rate_limit: null,
    batch: null,
    order: 'record',
  });
});

test('a batch has both of its limits, within bounds', () => {
  expect(pointersOf({ url: URL, batch: { max_events: 1_000, max_wait_ms: 0 } })).toEqual([]);
  expect(pointersOf({ url: URL, batch: { max_events: 0, max_wait_ms: 60_001 } })).toEqual([
    '/batch/max_events',
    '/batch/max_wait_ms',
  ]);
  expect(pointersOf({ url: URL, batch: { max_events: 1_001 } })).toEqual([
    '/batch/max_events',
    '/batch/max_wait_ms',
  ]);
  expect(pointersOf({ url: URL, batch: 100 })).toEqual(['/batch']);
});

test.each(['*', 'invoice.*', 'invoice.created', 'invoice.deleted', 'feed.reset', 'feed.*'])(
  '%s is a filter',
  (filter) => {
    expect(pointersOf({ url: URL, events: [filter] })).toEqual([]);
  },
);

test.each(['invoice', 'invoices.created', 'invoice.exploded', '*.created', '', 'Invoice.created'])(
  '%j is no filter',
  (filter) => {
    expect(pointersOf({ url: URL, events: ['*', filter] })).toEqual(['/events/1']);
  },
);

test.each([
  'webhook-id',
  'Webhook-Signature',
  'Host',
  'content-type',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'bad name',
  '',
])('a header named %j is refused', (name) => {
  expect(pointersOf({ url: URL, headers: { [name]: 'x' } })).toEqual([`/headers/${name}`]);
});

test('no header is lost: neither one of two spellings of a name, nor a name that objects have of their own', () => {
  expect(pointersOf({ url: URL, headers: { 'X-Team': 'a', 'x-team': 'b' } })).toEqual(['/headers/x-team']);
  expect(pointersOf({ url: URL, headers: JSON.parse('{"__proto__":"a","constructor":"b"}') })).toEqual([
    '/headers/__proto__',
  ]);
});

test('a header value can not break out of its line', () => {
  for (const value of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', 'ü']) {
    expect(pointersOf({ url: URL, headers: { authorization: value } })).toEqual(['/headers/authorization']);
  }
  expect(pointersOf({ url: URL, headers: { authorization: 'Bearer x' } })).toEqual([]);
});

test('start is one of its three forms', () => {
  for (const start of ['now', { after_export: 'exp_1' }, { since: '2026-01-01T00:00:00Z' }]) {
    expect(pointersOf({ url: URL, start })).toEqual([]);
  }
  for (const start of ['later', {}, { after_export: 'exp_1', since: 'x' }, 1, null]) {
    expect(pointersOf({ url: URL, start })).toEqual(['/start']);
  }
});

test('a text in place of a list is one fault, however long it is', () => {
  expect(pointersOf({ url: URL, events: 'x'.repeat(200) })).toEqual(['/events']);
});

test('all faults are reported at once', () => {
  expect(
    pointersOf({ url: 'http://10.0.0.1', events: ['x'], max_in_flight: 0, secret: 'mine' }).sort(),
  ).toEqual(['/events/0', '/max_in_flight', '/secret', '/url'].sort());
});

test('a patch takes any part and nothing else', () => {
  const patch = webhookPatchSchema(catalog, { allowNetworks: [], allowHttp: false });
  expect(validate(patch, { description: null }, 'body')).toEqual({ description: null });
  expect(() => validate(patch, { start: 'now' }, 'body')).toThrow(AppError);
  expect(() => validate(patch, { url: 'https://127.0.0.1/' }, 'body')).toThrow(AppError);
});
