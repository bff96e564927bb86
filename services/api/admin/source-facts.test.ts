import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createSourceFacts } from './source-facts.ts';

const catalog: Catalog = {
  name: 'test',
  resources: [
    {
      name: 'invoices',
      table: { schema: 'public', name: 'invoices' },
      event: 'invoice',
      key: ['id'],
      account: 'account_id',
      range: 'created_at',
      softDelete: 'deleted_at',
      hide: ['notes'],
      related: [],
      operations: {},
      syncLimit: 100,
    },
  ],
};
const request = parseExportRequest({
  resources: ['invoices'],
  date_range: { from: 'F', to: 'T', field: null },
});

const column = (name: string, baseTypeOid: number) => ({ name, baseTypeOid, isGenerated: false });
const TABLE = {
  schema: 'public',
  name: 'invoices',
  relations: [{ kind: 'r', replicaIdentity: 'i' }],
  columns: [column('id', 20), column('created_at', 1184), column('notes', 1184), column('memo', 25)],
};

/** A source that describes one table and explains any query, or fails with the given error. */
function createFacts(failure: () => Error | undefined = () => undefined) {
  const asked: { text: string; values: unknown[] | undefined }[] = [];
  const clock = { nowMs: 0 };
  const source = {
    async query(query: unknown, values?: unknown[]) {
      const text = String(query);
      asked.push({ text, values });
      const error = failure();
      if (error !== undefined) throw error;
      const row = text.startsWith('explain')
        ? { 'QUERY PLAN': [{ Plan: { 'Plan Rows': 100, 'Plan Width': 40 } }] }
        : { facts: JSON.stringify([TABLE]) };
      return { rows: [row] } as never;
    },
  };
  const facts = createSourceFacts(catalog, { source, log: silentLog, now: () => clock.nowMs });
  return { facts, asked, clock };
}

test('an estimate comes from the planner, with the filters of the export and without hidden columns', async () => {
  const { facts, asked } = createFacts();
  expect(await facts.estimate(request, ['invoices'], 'acc_1')).toEqual({
    rows: 100,
    bytes: 100 * (40 + 16 + 12),
  });
  expect(asked.at(-1)).toEqual({
    text:
      'explain (format json) select t."id", t."created_at", t."memo" from "public"."invoices" t where t."account_id" = $1' +
      ' and t."deleted_at" is null and t."created_at" >= $2::timestamptz and t."created_at" < $3::timestamptz',
    values: ['acc_1', 'F', 'T'],
  });
});

test('a source that is down costs one attempt, and is not asked for a while', async () => {
  const { facts, asked, clock } = createFacts(() => new Error('connection refused'));
  expect(await facts.estimate(request, ['invoices'], null)).toBeNull();
  expect(await facts.estimate(request, ['invoices'], null)).toBeNull();
  expect(asked).toHaveLength(1);
  clock.nowMs = 10_000;
  expect(await facts.estimate(request, ['invoices'], null)).toBeNull();
  expect(asked).toHaveLength(2);
});

test('after a query that the source refuses it is still asked', async () => {
  const refusal = Object.assign(new DatabaseError('invalid input syntax', 0, 'error'), { code: '22P02' });
  const { facts, asked } = createFacts(() => refusal);
  expect(await facts.estimate(request, ['invoices'], 'x')).toBeNull();
  expect(await facts.estimate(request, ['invoices'], 'x')).toBeNull();
  expect(asked).toHaveLength(2);
});

test('as_of is refused where old rows are not logged, and left to the export while the source is down', async () => {
  await expect(createFacts().facts.requireOldRows(['invoices'])).rejects.toMatchObject({
    code: 'invalid',
    errors: [{ pointer: '/as_of', detail: expect.stringContaining('invoices') }],
  });
  await createFacts(() => new Error('connection refused')).facts.requireOldRows(['invoices']);
});

test('a range column must be visible and hold times; the catalog’s own needs no source', async () => {
  const { facts, asked } = createFacts();
  await facts.requireRangeColumn(['invoices'], 'created_at');
  expect(asked).toHaveLength(0);
  for (const name of ['notes', 'memo', 'nope']) {
    await expect(facts.requireRangeColumn(['invoices'], name)).rejects.toMatchObject({ code: 'invalid' });
  }
  const away = createFacts(() => new Error('connection refused'));
  await expect(away.facts.requireRangeColumn(['invoices'], 'other')).rejects.toMatchObject({
    code: 'unavailable',
  });
});
