import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { completeExport } from '../../support/complete-export.ts';
import { csrfOf } from '../../support/dashboard.ts';
import { type ExportPages, openExportPages, textOfHtml } from '../../support/export-pages.ts';
import { hasPython } from '../../support/python.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let pages: ExportPages;
beforeAll(async () => {
  pages = await openExportPages();
});
afterAll(() => pages?.[Symbol.asyncDispose]());

test('a new account is told what to do first, and one with an endpoint how far that is behind', async () => {
  const { api, visitor, newExport } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const first = (await visitor.show('/dashboard', cookie)).text;
  expect(first).toContain('Get your data in three steps');
  expect(first).toContain('href="/dashboard/exports/new"');
  const { json } = await api.call('POST', '/webhooks', {
    key: account.key,
    body: { url: 'https://receiver.example/', events: ['*'] },
  });
  await newExport(account);
  const now = Date.now();
  await api.pool.query(`create table events_all partition of events default`);
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     select '0/F0', n, $1, 100, 'invoice.updated', 'invoices', '["1"]', $2, '{}' from generate_series(1, 41) n`,
    [account.id, new Date(now - 3_000)],
  );
  api.clock.nowMs = now;
  const { text } = await visitor.show('/dashboard', cookie);
  api.clock.nowMs = undefined;
  expect(text).not.toContain('three steps');
  expect(text).toContain(`href="/dashboard/webhooks/${json.id}"`);
  expect(text.match(/3 sec, 41 events behind/g)).toHaveLength(2);
  expect(text).toContain('Queued jobs start in this order');
});

test('the overview sets the time left apart from the share that is done', async () => {
  const { api, visitor, newExport } = pages;
  const account = await api.account();
  const id = await newExport(account);
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', rows_estimated = 100, rows_extracted = 60,
       rows_written = 40, started_at = now(), snapshot = jsonb_build_object('taken_at', now() - interval '10 s',
         'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb) where id = $1`,
    [id],
  );
  const { text } = await visitor.show('/dashboard', await visitor.open(account));
  expect(textOfHtml(text)).toMatch(/50% · about \d+ sec left/);
});

test('from a completed export an endpoint is made in one step, with its secret shown once', async () => {
  const { api, visitor } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const body = { resources: ['invoices', 'customers'] };
  const { json: job } = await api.call('POST', '/exports', { key: account.key, body });
  await completeExport(api, job.id, '{}\n');
  const path = `/dashboard/exports/${job.id}`;
  const { text } = await visitor.show(path, cookie);
  expect(text).toContain('no change between the two is missed');
  const post = (url: string, from = cookie) => visitor.send(path, { csrf: csrfOf(text), url }, from);
  const refused = await post('http://127.0.0.1/"><img src=x>');
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('value="http://127.0.0.1/&quot;&gt;&lt;img src=x&gt;"');
  expect(refused.text).toMatch(/role="alert" id="url-fault">[^<]{10,}/);
  const endpoints = async () => (await api.call('GET', '/webhooks', { key: account.key })).json.data;
  expect(await endpoints()).toEqual([]);
  const [made, again] = [await post('https://receiver.example/a'), await post('https://receiver.example/a')];
  const [endpoint, ...others] = await endpoints();
  expect(others).toEqual([]);
  expect(endpoint).toMatchObject({
    url: 'https://receiver.example/a',
    start: { after_export: job.id },
    events: ['invoice.*', 'customer.*', 'feed.*'],
  });
  for (const reply of [made, again]) {
    expect(reply.status).toBe(200);
    expect(reply.text).toMatch(/whsec_[\w+/=]{20,}/);
    expect(reply.text).toContain(`href="/dashboard/webhooks/${endpoint.id}"`);
    expect(reply.headers.get('cache-control')).toBe('no-store');
  }
  expect((await visitor.show(path, cookie)).text).not.toContain('whsec_');
  const reader = await visitor.open(account, {});
  expect((await visitor.show(path, reader)).text).not.toContain('name="url"');
  // The page stays the same while nothing changes, so that no module loads it again.
  const shapeOf = async () => (await api.call('GET', `${path}/live`, { headers: { cookie } })).json.shape;
  expect(await shapeOf()).toBe(await shapeOf());
});

test.skipIf(!hasPython())(
  'the code on the page of an export downloads its files, in three languages',
  async () => {
    const { api, visitor, newExport } = pages;
    const account = await api.account();
    const cookie = await visitor.open(account);
    const id = await newExport(account);
    const content = '{"id":1}\n{"id":2}\n';
    await completeExport(api, id, content);
    const { text } = await visitor.show(`/dashboard/exports/${id}`, cookie);
    const codes = [
      ...text.matchAll(/<pre[^>]*aria-label="Download with code: [^"]*"[^>]*>(.*?)<\/pre>/gs),
    ].map(([, code = '']) => textOfHtml(code));
    expect(codes).toHaveLength(3);
    const [curl = '', typescript = '', python = ''] = codes;
    const root = new URL('../../../', import.meta.url);
    const env = {
      PATH: process.env.PATH,
      TANDEM_KEY: account.key,
      PYTHONPATH: fileURLToPath(new URL('schemas/clients/python/src', root)),
      PYTHONUTF8: '1',
    };
    // As the packages are named once they are installed.
    const source = new URL('schemas/clients/typescript/src/', root).href;
    const module = typescript
      .replace("'@tandem/client'", `'${source}index.ts'`)
      .replace("'@tandem/client/node'", `'${source}node.ts'`);
    const commands: (readonly [string, string[], string])[] = [
      ['sh', ['-c', curl], 'invoices.jsonl'],
      [process.execPath, ['--input-type=module-typescript', '-e', module], 'export/invoices.jsonl'],
      ['python3', ['-c', python], 'export/invoices.jsonl'],
    ];
    for (const [command, args, file] of commands) {
      const folder = temporaryDirectory();
      await promisify(execFile)(command, args, { cwd: folder, env });
      expect(await readFile(join(folder, file), 'utf8'), command).toBe(content);
    }
  },
);

test('an export is paused and resumed from its page, as far as that is possible', async () => {
  const { api, visitor, newExport } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const path = `/dashboard/exports/${await newExport(account)}`;
  const page = async () => (await visitor.show(path, cookie)).text;
  const press = async (verb: string) =>
    visitor.send(`${path}/${verb}`, { csrf: csrfOf(await page()) }, cookie);
  const buttons = (text: string) =>
    ['pause', 'resume', 'cancel'].filter((verb) => text.includes(`action="${path}/${verb}"`));
  expect(buttons(await page())).toEqual(['pause', 'cancel']);
  expect((await press('pause')).status).toBe(303);
  const paused = await page();
  expect(buttons(paused)).toEqual(['resume', 'cancel']);
  expect(paused).toContain('Paused on request.');
  expect(paused).toContain('It fails unless it is resumed:');
  expect((await visitor.show('/dashboard/exports?status=paused', cookie)).text).toContain(path);
  expect((await press('resume')).status).toBe(303);
  expect(buttons(await page())).toEqual(['pause', 'cancel']);
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', snapshot_kind = 'single', started_at = now(),
       snapshot = jsonb_build_object('taken_at', now(), 'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb)
     where account_id = $1`,
    [account.id],
  );
  expect(buttons(await page())).toEqual(['cancel']);
  const refused = await press('pause');
  expect(refused.status).toBe(409);
  expect(refused.text).toContain('under a single snapshot');
});

test('the page of an export names what is ahead of it, others like it, and why it failed', async () => {
  const { api, visitor, newExport } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const [first, second, failed] = [
    await newExport(account),
    await newExport(account),
    await newExport(account),
  ];
  const pageOf = async (id: string) => (await visitor.show(`/dashboard/exports/${id}`, cookie)).text;
  const waiting = await pageOf(second);
  expect(waiting).toContain('No. 2 in the queue');
  expect(waiting).toContain(`href="/dashboard/exports/${first}"`);
  expect(await pageOf(first)).not.toContain(second);
  await completeExport(api, first, '{}\n');
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', phase = 'done', started_at = now(), completed_at = now(),
       error = '{"code": "table_locked", "message": "The table documint.invoices is locked."}' where id = $1`,
    [failed],
  );
  const text = await pageOf(failed);
  expect(text).toContain('such as a migration, held a lock on a table');
  expect(text).toContain('The table documint.invoices is locked.');
  expect(text).toContain(`href="/dashboard/exports/${first}"`);
  expect(text).toContain(`href="/dashboard/exports/new?from=${failed}"`);
  const body = { resources: ['customers', 'invoices'] };
  const { json: both } = await api.call('POST', '/exports', { key: account.key, body });
  const listed = async (query: string) => (await visitor.show(`/dashboard/exports?${query}`, cookie)).text;
  expect(text).toContain('href="/dashboard/exports?resource=invoices"');
  expect(await listed('resource=invoices')).toContain(first);
  const customers = await listed('resource=customers');
  expect(customers).toContain(both.id);
  expect(customers).not.toContain(first);
  expect(customers).toContain('href="/dashboard/exports?status=completed&amp;resource=customers"');
  expect(await listed('resource=customers&status=completed')).toContain('No exports match this filter.');
  const completed = await pageOf(first);
  for (const code of ['downloadExport(client', 'client.exports.download(', `after_export=${first}`]) {
    expect(
      completed
        .replace(/<[^>]*>/g, '')
        .replaceAll('&quot;', '"')
        .replaceAll('&#39;', "'"),
    ).toContain(code);
  }
});
