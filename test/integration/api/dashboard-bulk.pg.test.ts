import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import {
  createDashboardVisitor,
  type DashboardVisitor,
  describeEachSession,
  fieldOf,
  openForm,
} from '../../support/dashboard.ts';
import { waitFor } from '../../support/wait-for.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

let world: BulkWorld;
let visitor: DashboardVisitor;

beforeAll(async () => {
  world = await openBulkWorld({ maxQueuedBulk: 1_000 });
  visitor = createDashboardVisitor(world.api);
});
afterAll(() => world?.[Symbol.asyncDispose]());

type Account = Pick<Awaited<ReturnType<BulkWorld['account']>>, 'id' | 'key'>;

async function newJob({ key }: Account, request: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const body = { resource: 'invoices', operation: 'void', ids: ['1'], async: true, ...request };
  const { status, json } = await world.submit(key, body);
  expect(status).toBe(202);
  return json.job_id;
}

describeEachSession(
  dashboardPages({ frameAncestors: [] }).filter(({ path }) => path.startsWith('/dashboard/bulk')),
  {
    api: () => world.api,
    async arrange(owner, { path }) {
      const id = await newJob(owner);
      if (path.endsWith('/resume')) {
        await world.api.call('POST', `/bulk/operations/${id}/pause`, { key: owner.key });
      }
      if (path.endsWith('/file')) {
        await world.api.call('POST', `/bulk/operations/${id}/cancel`, { key: owner.key });
      }
      const status = async () => (await world.status(owner.key, id)).status;
      const changed = { pause: 'paused', resume: 'pending', cancel: 'cancelled' }[
        path.split('/').at(-1) ?? ''
      ];
      return {
        params: { id, resource: 'invoices', operation: 'void' },
        own: path.includes('{id}') ? 'invoices' : id,
        // A preview and an upload show the form again.
        ...(path.includes('/new/') ? { good: 200, fields: { by: 'ids', ids: '1' } } : {}),
        ...(path.endsWith('{operation}/file') ? { file: new File(['1\n2\n'], 'ids.txt') } : {}),
        ...(changed === undefined ? {} : { isChanged: async () => (await status()) === changed }),
      };
    },
  },
);

/** A job that some workers have ended: four of six items fail, for two reasons. */
async function endedJob(count = 2) {
  const account = await world.account(count);
  const ids = [...account.ids, '7777777', '7777778', '<b>', HOSTILE];
  const id = await newJob(account, { ids });
  await world.until(account.key, id);
  return { account, id };
}

test('a job shows its counts, its errors by code with examples, and its results by outcome and code', async () => {
  const stop = await world.startWorker();
  const { account, id } = await endedJob();
  await stop();
  const cookie = await visitor.open(account);
  const { text } = await visitor.show(`/dashboard/bulk/${id}`, cookie);
  expect(text).toContain('void invoices');
  for (const [outcome, count] of [
    ['succeeded', '2'],
    ['failed', '4'],
    ['skipped', '0'],
  ]) {
    expect(text).toContain(`<span data-text="${outcome}">${count}</span>`);
  }
  expect(text).toMatch(
    /<code>not_found<\/code><\/a>.*has no such record.*<ul class="samples".*7777777.*7777778/s,
  );
  expect(text).toContain('&lt;img src=x');
  expect(text).not.toContain('<img src=x');
  expect(text).toContain(`/dashboard/bulk/new/invoices/void?by=failed&amp;failed_of=${id}`);

  const results = async (query: string) =>
    (await visitor.show(`/dashboard/bulk/${id}/results${query}`, cookie)).text;
  const all = await results('');
  expect(all.match(/<th scope="row">/g)).toHaveLength(6);
  expect(all).not.toContain('<img src=x');
  const coded = await results('?status=failed&code=not_found');
  expect(coded.match(/<th scope="row">/g)).toHaveLength(2);
  expect(await results('?status=skipped')).toContain('No results with this filter.');
  expect((await visitor.show(`/dashboard/bulk/${id}/results?code=not_found`, cookie)).status).toBe(422);
  expect(
    (await visitor.show(`/dashboard/bulk/${id}/results?status=${encodeURIComponent(HOSTILE)}`, cookie))
      .status,
  ).toBe(422);
  const file = await visitor.show(`/dashboard/bulk/${id}/results/file?format=csv&status=failed`, cookie);
  expect(file.headers.get('content-disposition')).toContain(`${id}-failed.csv`);
  expect(file.text.split('\n').filter(Boolean)).toHaveLength(5);
});

test('jobs are listed by status, in pages, and the overview leads to them', async () => {
  const account = await world.account(1);
  const cookie = await visitor.open(account);
  const list = async (query = '') => (await visitor.show(`/dashboard/bulk${query}`, cookie)).text;
  expect(await list()).toContain('No bulk jobs yet.');
  const ids = [];
  for (let n = 0; n < 21; n += 1) ids.push(await newJob(account));
  await world.api.call('POST', `/bulk/operations/${ids[0]}/cancel`, { key: account.key });
  const first = await list();
  expect(first.match(/<th scope="row">/g)).toHaveLength(20);
  const older = /href="\/dashboard\/bulk(\?cursor=[^"]+)"/.exec(first)?.[1] ?? '';
  const second = await list(older.replaceAll('&amp;', '&'));
  expect(second.match(/<th scope="row">/g)).toHaveLength(1);
  expect(second).toContain(ids[0]);
  expect((await list('?status=cancelled')).match(/<th scope="row">/g)).toHaveLength(1);
  expect(await list('?status=failed')).toContain('No bulk jobs with this status.');
  const overview = (await visitor.show('/dashboard', cookie)).text;
  expect(overview).toContain(`<a href="/dashboard/bulk/${ids[1]}">void invoices</a>`);
  expect(overview).toContain(`data-text="done-${ids[1]}">1 item</`);
  await world.api.pool.query(
    `/* arranged */ update bulk_jobs set status = 'running', admitted_at = now(), started_at = now(), total = 8, succeeded = 2 where id = $1`,
    [ids[1]],
  );
  expect((await visitor.show('/dashboard', cookie)).text).toContain(
    `data-text="done-${ids[1]}">2 of 8 · 25%</`,
  );
});

const NEW = '/dashboard/bulk/new/invoices';

const jobsOf = async ({ key }: Account) =>
  (await world.api.call('GET', '/bulk/operations', { key })).json.data;

test('a job by filter is previewed as it is, and then starts once', async () => {
  const account = await world.account(12);
  const form = await openForm(visitor, account, `${NEW}/update`);
  expect(form.page()).toContain('No limit on items');
  const fields = {
    'field.0': 'total',
    'operator.0': 'gte',
    'value.0': account.ids[9] ?? '',
    'mode.memo': 'set',
    'set.memo': HOSTILE,
  };
  const preview = await form.send({ ...fields, do: 'preview' });
  expect(preview.status).toBe(200);
  expect(preview.text).toMatch(/Records, about<\/dt><dd>3</);
  expect(preview.text).toContain(`<code>${account.ids[10]}</code>`);
  expect(preview.text).not.toContain('<img src=x');
  expect(await jobsOf(account)).toEqual([]);
  // Another request than the one that was previewed.
  const changed = await form.send({ ...fields, 'value.0': account.ids[0] ?? '', do: 'start' });
  expect(changed.text).toContain('The form has changed since the preview.');
  expect(changed.text).toMatch(/Records, about<\/dt><dd>12</);
  expect(await jobsOf(account)).toEqual([]);
  const start = { ...fields, 'value.0': account.ids[0] ?? '', do: 'start' };
  const started = await Promise.all([form.send(start), form.send(start)]);
  expect(started.map(({ status }) => status).sort()).toEqual(expect.arrayContaining([303]));
  const jobs = await jobsOf(account);
  expect(jobs).toMatchObject([{ resource: 'invoices', operation: 'update', total: 12 }]);
  expect(started.find(({ status }) => status === 303)?.headers.get('location')).toBe(
    `/dashboard/bulk/${jobs[0].job_id}`,
  );
});

test('what is wrong is said beside its field, and what was typed is kept', async () => {
  const account = await world.account(1);
  const form = await openForm(visitor, account, `${NEW}/update`);
  const fields = {
    'field.0': 'memo',
    'value.0': HOSTILE,
    'field.1': 'total',
    'operator.1': 'gt',
    'value.1': 'many',
  };
  const refused = await form.send({ ...fields, 'mode.memo': 'set', 'set.memo': 'kept' });
  expect(refused.status).toBe(422);
  expect(refused.text).toMatch(/name="value\.1" value="many".*class="field-fault">must be a number /s);
  expect(refused.text).toContain('>kept</textarea>');
  expect(refused.text).not.toContain('<img src=x');
  const empty = await form.send({ do: 'preview' });
  expect([empty.status, empty.text.match(/class="field-fault"/g)?.length]).toEqual([422, 2]);
  const added = await form.send({ ...fields, do: 'add' });
  expect(added.text).toContain('name="field.2"');
  const removed = await form.send({ ...fields, do: 'remove.0' });
  expect(removed.text).toMatch(/name="value\.0" value="many"/);
  expect(removed.text).not.toContain('name="field.1"');
  expect((await visitor.show(`${NEW}/nothing`, form.cookie)).status).toBe(404);
  expect((await visitor.show('/dashboard/bulk/new/nothing/void', form.cookie)).status).toBe(404);
});

test('a job by IDs, by all records and by failed items', async () => {
  const account = await world.account(3);
  const byIds = await openForm(visitor, account, `${NEW}/void?by=ids`);
  await byIds.send({ ids: `${account.ids.join(' ')} 7777777`, do: 'preview' });
  expect((await byIds.send({ ids: `${account.ids.join(' ')} 7777777`, do: 'start' })).status).toBe(303);
  const all = await openForm(visitor, account, `${NEW}/delete?by=all`);
  expect((await all.send({ do: 'preview' })).text).toContain('Confirm that you mean every record.');
  const sure = await all.send({ all: 'on', do: 'preview' });
  expect(sure.text).toMatch(/Records, about<\/dt><dd>3<.*class="danger">Start: delete/s);

  const [{ job_id: id }] = await jobsOf(account);
  const stop = await world.startWorker();
  await world.until(account.key, id);
  await stop();
  const failed = await openForm(visitor, account, `${NEW}/void?by=failed&failed_of=${id}`);
  const preview = await failed.send({ do: 'preview' });
  expect(preview.text).toMatch(/Records, about<\/dt><dd>1<.*<code>7777777</s);
  expect((await failed.send({ do: 'start' })).status).toBe(303);
  const other = await visitor.open(await world.account(1));
  expect((await visitor.show(`${NEW}/void?by=failed&failed_of=${id}`, other)).status).toBe(404);
  expect(
    (await visitor.show(`/dashboard/bulk/new/customers/delete?by=failed&failed_of=${id}`, failed.cookie))
      .status,
  ).toBe(404);
});

test('a file of IDs is uploaded, checked by line, and its job starts', async () => {
  const account = await world.account(2);
  const form = await openForm(visitor, account, `${NEW}/void?by=file`);
  expect(form.page()).not.toContain('id="job"');
  const csrf = fieldOf(form.page(), 'csrf');
  const upload = (content: string | Uint8Array<ArrayBuffer>, fields: Record<string, string> = { csrf }) =>
    visitor.sendFile(`${NEW}/void/file`, fields, new File([content], 'ids.txt'), form.cookie);
  expect((await upload('1\n', {})).status).toBe(403);
  expect((await upload('1\n', { csrf: 'x' })).status).toBe(403);
  const bad = await upload('a\nb\n');
  expect(bad.status).toBe(422);
  expect(bad.text).toContain('has no line that is an ID');
  expect(
    (await visitor.sendFile(`${NEW}/void/file`, { csrf }, new File([], ''), form.cookie)).text,
  ).toContain('Choose a file.');
  const parts = (text: string, origin = world.api.url) =>
    world.api.call('POST', `${NEW}/void/file`, {
      body: text,
      headers: {
        'content-type': 'multipart/form-data; boundary=x',
        origin,
        cookie: form.cookie,
      },
    });
  const head = `--x\r\ncontent-disposition: form-data; name="csrf"\r\n\r\n${csrf}\r\n--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n`;
  const whole = `${head}1\n2\n\r\n--x--\r\n`;
  expect((await parts(whole, 'https://evil.example')).status).toBe(403);
  expect((await parts(`${head}1\n2\n`)).status).toBe(400);
  expect((await parts(whole)).status).toBe(200);
  const { rows: left } = await world.api.pool.query(
    'select count(*)::int as n from bulk_files where account_id = $1',
    [account.id],
  );
  expect(left).toEqual([{ n: 1 }]);

  const done = await upload(`${account.ids.join('\n')}\nx${HOSTILE}\n`);
  expect(done.status).toBe(200);
  expect(done.text).toContain('Lines: 3');
  expect(done.text).toMatch(/Line 3: is not of type bigint/);
  const fields = {
    ...Object.fromEntries(
      ['csrf', 'request', 'by', 'file_id'].map((name) => [name, fieldOf(done.text, name)]),
    ),
  };
  const preview = await visitor.send(`${NEW}/void`, { ...fields, do: 'preview' }, form.cookie);
  expect(preview.text).toMatch(/Records, about<\/dt><dd>3</);
  const start = { ...fields, previewed: fieldOf(preview.text, 'previewed'), do: 'start' };
  expect((await visitor.send(`${NEW}/void`, start, form.cookie)).status).toBe(303);
});

test('the quota is told before, and what it covers', async () => {
  const account = await world.account(5);
  await world.api.call('PATCH', `/admin/accounts/${account.id}`, {
    key: ADMIN_KEY,
    body: { limits: { bulk_quota: { items: 2, period: 'month' } } },
  });
  const form = await openForm(visitor, account, `${NEW}/void?by=ids`);
  expect(form.page()).toContain('2 of 2 items left');
  const preview = await form.send({ ids: account.ids.join(' ') });
  expect(preview.text).toContain('The quota covers 2 of these items.');
});

test('as many IDs as a request may name fit into the form, and no larger form is read', async () => {
  const account = await world.account(1);
  const form = await openForm(visitor, account, `${NEW}/void?by=ids`);
  const ids = Array.from({ length: 10_000 }, () => randomUUID()).join('\r\n');
  expect((await form.send({ ids })).text).toMatch(/Records, about<\/dt><dd>10,000</);
  expect((await form.send({ ids: ids.repeat(2) })).status).toBe(413);
});

test('whoever may only read sees no button, and German is whole', async () => {
  const account = await world.account(1);
  const id = await newJob(account);
  const scopes = ['bulk:read'];
  const cookie = await visitor.open(account, { scopes, locale: 'de-AT' });
  const pages = ['/dashboard/bulk', `/dashboard/bulk/${id}`, `/dashboard/bulk/${id}/results`];
  const texts = await Promise.all(pages.map(async (path) => (await visitor.show(path, cookie)).text));
  for (const text of texts)
    expect(text).not.toMatch(/bulk\/new|\/(pause|cancel)"|Bulk jobs|Completed|Queued/);
  expect(texts[0]).toContain('Massenaufträge');
  expect(texts[1]).toContain('Platz 1 in der Warteschlange');
  const writer = await visitor.open(account);
  expect((await visitor.show(`/dashboard/bulk/${id}`, writer)).text).toMatch(/\/pause".*\/cancel"/s);
});

test('an upload that its browser breaks off leaves nothing, and one without parts is refused', async () => {
  const account = await world.account(1);
  const { cookie, page } = await openForm(visitor, account, `${NEW}/void?by=file`);
  const headers = { origin: world.api.url, cookie, 'content-length': 100_000 };
  const sent = request(`${world.api.url}${NEW}/void/file`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'multipart/form-data; boundary=x' },
  });
  sent.on('error', () => undefined);
  const part = (name: string) => `--x\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n`;
  sent.write(
    `${part('csrf')}${fieldOf(page(), 'csrf')}\r\n${part('file').replace('"file"', '"file"; filename="a"')}1\n`,
  );
  const files = async () => {
    const { rows } = await world.api.pool.query('select id from bulk_files where account_id = $1', [
      account.id,
    ]);
    return rows.length;
  };
  await waitFor('the upload is there', async () => (await files()) === 1);
  sent.destroy();
  // At once, and not when the client has sent nothing for half a minute.
  await waitFor('the upload is gone', async () => (await files()) === 0);
  const odd = (type: string) =>
    world.api.call('POST', `${NEW}/void/file`, {
      body: 'x',
      headers: { origin: world.api.url, cookie, 'content-type': type },
    });
  expect((await odd('multipart/form-data; x=y')).status).toBe(400);
  expect((await odd('multipart/form-data')).status).toBe(415);
  expect((await odd('application/x-www-form-urlencoded')).status).toBe(415);
});
