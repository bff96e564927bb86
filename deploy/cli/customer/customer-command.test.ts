import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { SqliteStore } from '../../../schemas/clients/typescript/src/sqlite.ts';
import { runCommand } from '../../../test/support/run-command.ts';
import { customerCommand } from './customer-command.ts';
import { toRequest } from './exports.ts';
import { eventLine } from './follow-feed.ts';
import { loginCommand } from './login.ts';
import { commaList, headersOf, jsonObject } from './options.ts';
import { replicaVerifyCommand } from './replica-verify.ts';
import { readHeaders } from './verify-signature.ts';
import { toWebhook } from './webhooks.ts';

/** A server that responds to everything with this. */
async function respond(status: number, body: unknown, edit = (text: string) => text): Promise<string> {
  const server = createServer((_, response) => {
    response
      .writeHead(status, { 'content-type': 'application/problem+json' })
      .end(edit(JSON.stringify(body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const problem = {
  type: '/docs/problems/invalid',
  title: 'Invalid',
  status: 422,
  detail: 'The request is invalid.',
  code: 'invalid',
  errors: [{ pointer: '/resource', detail: 'must be a \u001b[31mresource' }],
  request_id: 'req_1',
};

const whoami = customerCommand<unknown>({
  name: 'show',
  summary: 'shows',
  examples: [],
  async run({ client, print }) {
    print(await client().account.get(), ['a line']);
    return 0;
  },
});

test('a refusal ends with 1 and shows the detail, the fields, the code, the request and the page', async () => {
  const TANDEM_URL = await respond(422, problem);
  const context = { env: { TANDEM_URL, TANDEM_API_KEY: 'tk_1' }, home: '/nowhere' };
  const { code, lines } = await runCommand(whoami, [], context);
  expect(code).toBe(1);
  expect(lines.join('\n').split('\n')).toEqual([
    'tandem show: The request is invalid.',
    '  /resource must be a \\u001b[31mresource',
    '  code invalid, request req_1',
    `  ${TANDEM_URL}/docs/problems/invalid`,
  ]);
  const json = await runCommand(whoami, ['--json'], context);
  expect([json.code, json.lines.map((line) => JSON.parse(line))]).toEqual([1, [problem]]);
  const file = join(mkdtempSync(join(tmpdir(), 'tandem-cli-')), 'replica.db');
  onTestFinished(() => rmSync(dirname(file), { recursive: true }));
  {
    using store = new SqliteStore(file);
    const state = { version: 1, resources: ['invoices'], shown: 1, exportId: 'exp_1', stalled: {} };
    await store.transaction(async ({ writeState }) => writeState(JSON.stringify(state)));
  }
  // Of a comparison 1 says that a record differs.
  expect((await runCommand(replicaVerifyCommand, [`sqlite:${file}`], context)).code).toBe(2);
});

test('a server that is not there and a URL that is none are no faults of ours', async () => {
  const env = { TANDEM_URL: 'http://127.0.0.1:1', TANDEM_API_KEY: 'tk_1', XDG_CONFIG_HOME: '/nowhere' };
  const { code, lines } = await runCommand(loginCommand, [], { env, home: '/nowhere' });
  expect([code, lines]).toEqual([
    1,
    [expect.stringMatching(/^tandem login: No response from http:\/\/127.0.0.1:1/)],
  ]);
  const wrong = { env: { ...env, TANDEM_URL: 'tandem.example.com' }, home: '/nowhere' };
  await expect(runCommand(loginCommand, [], wrong)).rejects.toThrow('must be an absolute http or https URL');
});

test('options become a request without what is not given', () => {
  expect(toRequest({ resources: ['a'], dryRun: false, follow: false })).toEqual({ resources: ['a'] });
  expect(
    toRequest({
      resources: ['a'],
      format: 'csv',
      from: '2026-01-01',
      csvSafe: true,
      dryRun: false,
      follow: true,
    }),
  ).toEqual({ resources: ['a'], format: 'csv', date_range: { from: '2026-01-01' }, csv_safe: true });
  expect(commaList('a, b,')).toEqual(['a', 'b']);
  expect(() => commaList(' , ')).toThrow('a list such as a,b');
  expect(jsonObject('{"status": {"eq": "draft"}}')).toEqual({ status: { eq: 'draft' } });
  for (const text of ['[]', 'null', '{', '7']) expect(() => jsonObject(text)).toThrow('a JSON object');
});

test('an event is a line: of a record what changed, of the feed its data', () => {
  const event = { id: 'evt_1', timestamp: '2026-01-01T00:00:00Z', type: 'invoice.updated', key: { id: 5 } };
  expect(eventLine(JSON.stringify({ ...event, data: { memo: 'x' }, previous: { memo: '' } }))).toBe(
    '2026-01-01T00:00:00Z  invoice.updated  {"id":5}  memo',
  );
  expect(
    eventLine(JSON.stringify({ ...event, type: 'feed.reset', key: null, data: { reason: 'gap' } })),
  ).toBe('2026-01-01T00:00:00Z  feed.reset  {"reason":"gap"}');
});

test('an endpoint has what is given, and starts now, after an export, or at a time', () => {
  const url = 'https://example.com/hook';
  const none = { url, header: [], batchWait: 1_000 };
  expect(toWebhook(none)).toEqual({ url });
  expect(toWebhook({ ...none, header: ['X-Team: a: b'], batch: 10, afterExport: 'exp_1' })).toEqual({
    url,
    headers: { 'X-Team': 'a: b' },
    batch: { max_events: 10, max_wait_ms: 1_000 },
    start: { after_export: 'exp_1' },
  });
  expect(toWebhook({ ...none, since: '2026-01-01' })).toEqual({ url, start: { since: '2026-01-01' } });
  // The line may hold a password.
  expect(() => headersOf(['hunter2'])).toThrow(/^a --header must be "Name: value"$/);
});

test('headers are read from lines, from a dump of curl, and from JSON', () => {
  const headers = { 'webhook-id': 'evt_1', 'webhook-signature': 'v1,a= v1,b=' };
  expect(
    readHeaders('POST /hook HTTP/1.1\r\nWebhook-Id: evt_1\r\nwebhook-signature:  v1,a= v1,b= \r\n'),
  ).toEqual(headers);
  expect(readHeaders('> webhook-id: evt_1\n> webhook-signature: v1,a= v1,b=')).toEqual(headers);
  expect(readHeaders(JSON.stringify({ 'Webhook-Id': 'evt_1', 'webhook-signature': 'v1,a= v1,b=' }))).toEqual(
    headers,
  );
  expect(() => readHeaders('{"a": ')).toThrow('neither lines of name: value nor a JSON object');
});

test('a record is printed as it is, also where it has the text of a secret', async () => {
  const event = '{"id":"evt_1","type":"invoice.created","data":{"total":12345678901234567890.10}}';
  const url = await respond(200, { data: [], has_more: false, next_cursor: 'c_1' }, (text) =>
    text.replace('[]', `[${event}]`),
  );
  const tandem = fileURLToPath(new URL('../tandem.ts', import.meta.url));
  const words = ['events', 'tail', '--after', 'c_0', '--once', '--json'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [tandem, ...words], {
    env: { TANDEM_URL: url, TANDEM_API_KEY: 'tk_1', SHOP_API_KEY: 'invoice' },
  });
  expect([stdout, stderr]).toEqual([`${event}\n`, 'continue with: --after c_1\n']);
});
