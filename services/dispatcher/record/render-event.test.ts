import { expect, test } from 'vitest';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowShape, ValueType } from '../../../shared/domain/row-shape.ts';
import { createEventRenderer, createResetRenderer } from './render-event.ts';

const text: ValueType = { kind: 'string', pgName: 'text' };
const shape: RowShape = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'memo', type: text, isKey: false },
    { name: 'deleted_at', type: { kind: 'string', pgName: 'timestamptz' }, isKey: false },
  ],
};
const resource: Resource = {
  name: 'invoices',
  table: { schema: 'documint', name: 'invoices' },
  event: 'invoice',
  key: ['id'],
  account: 'account_id',
  range: undefined,
  softDelete: 'deleted_at',
  hide: [],
  related: [],
  operations: {},
  syncLimit: 100,
};
const renderer = createEventRenderer(resource, shape);

const change = (part: Partial<DecodedChange>): DecodedChange => ({
  op: 'update',
  account: 'acc_1',
  resource: 'invoices',
  before: ['7', 'a', null],
  after: ['7', 'b', null],
  unchanged: [],
  missing: [],
  source: {
    lsn: 90n,
    commitLsn: 100n,
    xid: 5_000_000_000n,
    index: 3,
    committedAtMicros: 1_767_225_600_000_042n,
    bulkJobId: null,
  },
  ...part,
});
const payload = (event: { payloadHead: string; payloadTail: string }) =>
  `${event.payloadHead}acct_X${event.payloadTail}`;
const typeOf = (part: Partial<DecodedChange>) => renderer.render(change(part)).type;

test('the payload is exactly what is promised', () => {
  const event = renderer.render(change({}));
  expect(payload(event)).toBe(
    '{"id":"evt_00000000000000640000000003","type":"invoice.updated","timestamp":"2026-01-01T00:00:00.000042Z",' +
      '"account_id":"acct_X","position":"0000000000000064-0000000003","resource":"invoices","key":{"id":7},' +
      '"data":{"id":7,"memo":"b","deleted_at":null},"previous":{"memo":"a"},' +
      '"transaction":{"id":"5000000000","index":3}}',
  );
  expect(event).toMatchObject({
    recordKey: '["7"]',
    committedAt: '2026-01-01T00:00:00.000042Z',
    account: 'acc_1',
  });
});

test('a change that a bulk operation made names it', () => {
  const source = { ...change({}).source, bulkJobId: 'blk_1' };
  expect(payload(renderer.render(change({ source })))).toMatch(
    /"transaction":\{"id":"5000000000","index":3\},"source":\{"bulk_job_id":"blk_1"\}\}$/,
  );
});

test('columns whose value did not come again are named, not guessed', () => {
  const event = renderer.render(change({ after: ['7', null, null], unchanged: ['memo'] }));
  expect(payload(event)).toContain('"data":{"id":7,"deleted_at":null},"previous":{},"unchanged":["memo"],');
});

test('inserts and deletes have their own names and no previous values', () => {
  expect(typeOf({ op: 'insert', before: null })).toBe('invoice.created');
  expect(typeOf({ op: 'delete', after: null })).toBe('invoice.deleted');
  expect(payload(renderer.render(change({ op: 'delete', after: null })))).not.toContain('"previous"');
});

test('soft deletion is deletion, and undoing it is creation', () => {
  const gone = ['7', 'a', '2026-01-01T00:00:00Z'];
  expect(typeOf({ after: gone })).toBe('invoice.deleted');
  expect(typeOf({ before: gone })).toBe('invoice.created');
  expect(typeOf({ before: gone, after: gone })).toBe('invoice.deleted');
  expect(typeOf({ op: 'insert', before: null, after: gone })).toBe('invoice.deleted');
  expect(typeOf({ op: 'delete', before: gone, after: null })).toBe('invoice.deleted');
});

test('a record that is new to the account has no unchanged columns, only unknown ones', () => {
  const event = renderer.render(
    change({ op: 'insert', before: null, after: ['7', null, null], unchanged: ['memo'] }),
  );
  expect(payload(event)).toContain('"data":{"id":7,"deleted_at":null},"unknown":["memo"],');
});

test('a reset names the resource that needs a new export, and why', () => {
  const reset = change({ op: 'truncate', account: '', before: null, after: null });
  const event = renderer.renderReset(reset, 'acc_9');
  expect(event).toMatchObject({ type: 'feed.reset', account: 'acc_9', resource: 'invoices' });
  expect(JSON.parse(payload(event))).toMatchObject({
    key: null,
    data: { reason: 'table_truncated', resources: ['invoices'] },
  });
  const told = renderer.renderReset({ ...reset, resetReason: 'type_changed' }, 'acc_9');
  expect(JSON.parse(payload(told)).data.reason).toBe('type_changed');
  const gap = { ...reset, source: { ...reset.source, xid: 0n } };
  expect(JSON.parse(payload(renderer.renderReset(gap, 'acc_9'))).data.reason).toBe('changes_lost');
});

test('a change without the columns of the key is told as a reset of its resource, to its account', () => {
  const event = createResetRenderer(resource).render(change({}));
  expect(event).toMatchObject({
    type: 'feed.reset',
    account: 'acc_1',
    recordKey: '[]',
    index: 3,
    xid: 5_000_000_000n,
  });
  expect(JSON.parse(payload(event))).toMatchObject({
    key: null,
    data: { reason: 'table_unfit', resources: ['invoices'] },
  });
});

test('a column that left when its change was written, and does no longer, is in no part of an event', () => {
  const full = change({ before: ['7', 'a', '2026-01-01'], after: ['7', 'b', null], unchanged: ['memo'] });
  for (const withheld of [{ hide: ['memo'] }, { expose: ['id', 'deleted_at'] }]) {
    const { payloadTail } = createEventRenderer({ ...resource, ...withheld }, shape).render(full);
    expect(payloadTail).toContain('"data":{"id":7,"deleted_at":null}');
    expect(payloadTail).not.toContain('memo');
  }
});
