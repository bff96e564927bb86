import { afterAll, beforeAll, expect, test } from 'vitest';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import {
  createDashboardVisitor,
  type DashboardVisitor,
  describeEachSession,
} from '../../support/dashboard.ts';

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
  expect(text).toMatch(/<code>not_found<\/code><ul class="samples".*7777777.*7777778/s);
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
  expect((await visitor.show('/dashboard', cookie)).text).toContain(`href="/dashboard/bulk/${ids[1]}"`);
});
