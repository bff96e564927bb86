import { expect, test } from 'vitest';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowTexts, RowType, ValueType } from '../../../shared/domain/row-type.ts';
import { createRecordKey } from '../../../shared/values/record-key.ts';
import { scalarType } from '../../../shared/values/scalar-types.ts';
import {
  createEventJson,
  createEventRenderer,
  createPayloadNotes,
  createResetRenderer,
} from './render-event.ts';

const text: ValueType = { kind: 'string', pgName: 'text' };
const rowType: RowType = {
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
const renderer = createEventRenderer(resource, rowType);

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
    const { payloadTail } = createEventRenderer({ ...resource, ...withheld }, rowType).render(full);
    expect(payloadTail).toContain('"data":{"id":7,"deleted_at":null}');
    expect(payloadTail).not.toContain('memo');
  }
});

const zonedRowType: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'region', type: scalarType('text', -1), isKey: true },
    { name: 'at', type: scalarType('timestamptz', -1), isKey: true },
    { name: 'total', type: scalarType('int8', -1), isKey: false },
    { name: 'body', type: scalarType('text', -1), isKey: false },
  ],
};
const event = createEventJson(zonedRowType, ['at', 'region']);
const AT = '2026-01-02T03:04:05Z';

function changeOf(part: Partial<DecodedChange>): DecodedChange {
  return {
    op: 'update',
    account: 'acme',
    resource: 'invoices',
    before: null,
    after: null,
    unchanged: [],
    missing: [],
    source: { lsn: 1n, commitLsn: 2n, xid: 3n, index: 0, committedAtMicros: 0n, bulkJobId: null },
    ...part,
  };
}

test('data is the row after, or the deleted row', () => {
  const row = ['eu', AT, '5', null];
  const json = `{"region":"eu","at":"${AT}","total":5,"body":null}`;
  expect(event.dataJson(changeOf({ op: 'insert', after: row }))).toBe(json);
  expect(event.dataJson(changeOf({ op: 'delete', before: row }))).toBe(json);
});

test('a value that is not known is left out, never null', () => {
  const updated = changeOf({ after: ['eu', AT, '5', null], unchanged: ['body'] });
  expect(event.dataJson(updated)).toBe(`{"region":"eu","at":"${AT}","total":5}`);
  const deleted = changeOf({ op: 'delete', before: ['eu', AT, null, null], missing: ['total', 'body'] });
  expect(event.dataJson(deleted)).toBe(`{"region":"eu","at":"${AT}"}`);
});

test('previous has what changed and nothing else', () => {
  const before = ['eu', AT, null, 'long'];
  expect(event.previousJson(changeOf({ before, after: ['eu', AT, '5', 'longer'] }))).toBe(
    '{"total":null,"body":"long"}',
  );
  expect(event.previousJson(changeOf({ before, after: ['eu', AT, '5', null], unchanged: ['body'] }))).toBe(
    '{"total":null}',
  );
  expect(event.previousJson(changeOf({ before, after: before }))).toBe('{}');
});

test('previous is absent when the old row is not known as a whole', () => {
  const row = ['eu', AT, '5', 'x'];
  expect(event.previousJson(changeOf({ after: row }))).toBeUndefined();
  expect(event.previousJson(changeOf({ before: row, after: row, missing: ['body'] }))).toBeUndefined();
  expect(event.previousJson(changeOf({ op: 'delete', before: row }))).toBeUndefined();
});

test('the key is an object, and the record key a list in key order', () => {
  const deleted = changeOf({ op: 'delete', before: ['eu', AT, null, null], missing: ['total', 'body'] });
  expect(event.keyJson(deleted)).toBe(`{"region":"eu","at":"${AT}"}`);
  expect(event.recordKey(deleted)).toBe(`["${AT}","eu"]`);
});

test('a record has one key, whichever texts it is made from', () => {
  const key = createRecordKey(zonedRowType, ['at', 'region']);
  expect(key.ofPgTexts(['eu', '2026-01-02 03:04:05+00', null, null])).toBe(
    key.ofWireTexts(['eu', AT, '5', 'x']),
  );
});

test('what has no row, or no such key column, is refused', () => {
  expect(() => event.dataJson(changeOf({ op: 'truncate' }))).toThrow(RangeError);
  expect(() => createRecordKey(zonedRowType, ['id'])).toThrow('no key column "id"');
});

const payloadNotes = createPayloadNotes({
  resource: 'notes',
  columns: [
    { name: 'word', type: { kind: 'string', pgName: 'text' }, isKey: true },
    { name: 'doc', type: { kind: 'json', pgName: 'jsonb' }, isKey: false },
  ],
});
const of = (before: RowTexts | null, after: RowTexts | null) =>
  payloadNotes({ before, after } as unknown as DecodedChange);

test('a JSON null is named where it stands, and nothing else is', () => {
  expect(of(null, ['null', null])).toBe('{}');
  expect(of(null, ['a', 'null'])).toBe('{"data":["doc"],"previous":[]}');
  expect(of(['a', 'null'], ['a', '{}'])).toBe('{"data":[],"previous":["doc"]}');
  expect(of(['a', 'null'], null)).toBe('{"data":["doc"],"previous":[]}');
  expect(of(['a', '"null"'], ['a', '[null]'])).toBe('{}');
});

test('values that may be later than their change are named, with the position that they may be as late as', () => {
  const filled = { columns: ['doc'], lsn: 0x1_0000_00ffn };
  const notes = payloadNotes({ before: null, after: ['a', '1'], filled } as unknown as DecodedChange);
  expect(JSON.parse(notes)).toEqual({ data: [], previous: [], filled: { columns: ['doc'], lsn: '1/FF' } });
});
