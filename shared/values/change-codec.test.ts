import avro from 'avsc';
import { expect, test } from 'vitest';
import type { EncodableChange } from '../domain/change.ts';
import type { RowType } from '../domain/row-type.ts';
import { UnreadableMessageError } from './avro-reader.ts';
import { createChangeCodec, createChangeDecoder } from './change-codec.ts';
import { readChangeSchema } from './change-schema.ts';
import { ForeignSchemaError } from './row-schema.ts';
import { scalarType } from './scalar-types.ts';
import { readRegistryId, WIRE_HEADER_BYTES } from './wire-format.ts';

const rowType: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: scalarType('int8', -1), isKey: true },
    { name: 'paid', type: scalarType('bool', -1), isKey: false },
    { name: 'body', type: scalarType('text', -1), isKey: false },
  ],
};
const codec = createChangeCodec(rowType, { namespace: 'tandem' });

function change(part: Partial<EncodableChange> = {}): EncodableChange {
  return {
    op: 'update',
    account: 'acme',
    resource: 'invoices',
    before: ['1', null, null],
    after: ['1', 't', null],
    unchanged: ['body'],
    missing: ['paid', 'body'],
    source: {
      lsn: 0x16_b374_d848n,
      commitLsn: 2n ** 63n - 1n,
      xid: 2n ** 33n,
      index: 1_000_000,
      committedAtMicros: 1_767_323_045_123_456n,
      bulkJobId: null,
    },
    ...part,
  };
}

test('a decoded change is the encoded one with wire texts', () => {
  expect(codec.decode(codec.encode(change(), 3))).toEqual(change({ after: ['1', 'true', null] }));
  expect(readRegistryId(codec.encode(change(), 3))).toBe(3);
});

test('an insert, a delete and a truncation have the rows they have', () => {
  const insert = change({ op: 'insert', before: null, unchanged: [], missing: [], after: ['1', null, ''] });
  const removal = change({ op: 'delete', after: null, unchanged: [] });
  const truncation = change({
    op: 'truncate',
    account: '',
    before: null,
    after: null,
    unchanged: [],
    missing: [],
    resetReason: 'table_rewritten',
  });
  for (const each of [insert, removal, truncation]) expect(codec.decode(codec.encode(each, 3))).toEqual(each);
});

test('another Avro library reads it', () => {
  const type = avro.Type.forSchema(JSON.parse(JSON.stringify(codec.schema)), { wrapUnions: false });
  const message = codec.encode(
    change({
      source: { lsn: 1n, commitLsn: 2n, xid: 3n, index: 4, committedAtMicros: -5n, bulkJobId: 'blk_1' },
      filled: { columns: ['body'], lsn: 7n },
    }),
    3,
  );
  expect(JSON.parse(JSON.stringify(type.fromBuffer(message.subarray(WIRE_HEADER_BYTES))))).toEqual({
    op: 'update',
    account: 'acme',
    resource: 'invoices',
    before: { id: 1, paid: null, body: null },
    after: { id: 1, paid: true, body: null },
    unchanged: ['body'],
    missing: ['paid', 'body'],
    source: { lsn: 1, commit_lsn: 2, xid: 3, index: 4, committed_at: -5, bulk_job_id: 'blk_1' },
    reset_reason: null,
    filled: { columns: ['body'], lsn: 7 },
  });
  expect(type.name).toBe('tandem.invoices.Change');
});

test('the bulk operation that made a change comes with it', () => {
  const ofBulk = change({ after: null, source: { ...change().source, bulkJobId: 'blk_1' } });
  expect(codec.decode(codec.encode(ofBulk, 3))).toEqual(ofBulk);
});

test('values that were read later come with how late they may be', () => {
  const moved = change({ before: null, after: ['2', null, 'large'], unchanged: [], missing: [] });
  const filled = { ...moved, filled: { columns: ['body'], lsn: 2n ** 62n } };
  expect(codec.decode(codec.encode(filled, 3))).toEqual(filled);
});

test('a change from before later fields were told is read by its own schema', () => {
  const earlier = JSON.parse(JSON.stringify(codec.schema));
  expect(earlier.fields.pop().name).toBe('filled');
  expect(earlier.fields.pop().name).toBe('reset_reason');
  expect(earlier.fields.at(-1).type.fields.pop().name).toBe('bulk_job_id');
  // Its last bytes say that there is none of them, which an earlier version did not say.
  const message = codec.encode(change({ after: null }), 3).subarray(0, -3);
  expect(createChangeDecoder(earlier).decode(message)).toEqual(change({ after: null }));
  expect(() => codec.decode(message)).toThrow(UnreadableMessageError);
});

test('a reader of the new schema finds none of them in what was written with the earlier one', () => {
  const earlier = JSON.parse(JSON.stringify(codec.schema));
  earlier.fields.splice(-2);
  earlier.fields.at(-1).type.fields.pop();
  const written = avro.Type.forSchema(earlier, { wrapUnions: false });
  const read = avro.Type.forSchema(JSON.parse(JSON.stringify(codec.schema)), { wrapUnions: false });
  const source = { lsn: 1n, commitLsn: 2n, xid: 3n, index: 4, committedAtMicros: 5n, bulkJobId: null };
  const message = codec.encode(change({ source }), 3).subarray(WIRE_HEADER_BYTES, -3);
  const found = read.fromBuffer(message, read.createResolver(written));
  expect(found).toMatchObject({ source: { bulk_job_id: null }, reset_reason: null, filled: null });
});

test('the rowType of the rows can be read back from the schema', () => {
  const read = readChangeSchema(JSON.parse(JSON.stringify(codec.schema)));
  expect(read).toMatchObject({ hasBulkJobId: true, hasResetReason: true, hasFilled: true });
  expect(read.rowType.columns.map(({ name, isKey, type: { kind } }) => [name, isKey, kind])).toEqual([
    ['id', true, 'long'],
    ['paid', false, 'boolean'],
    ['body', false, 'string'],
  ]);
  expect(read.rowType.resource).toBe('invoices');
  expect(() => readChangeSchema({ type: 'record', name: 'Change', fields: [] })).toThrow(ForeignSchemaError);
});

test('a message cut short is refused', () => {
  const message = codec.encode(change(), 3);
  for (let length = WIRE_HEADER_BYTES; length < message.length; length += 1) {
    expect(() => codec.decode(message.subarray(0, length))).toThrow(UnreadableMessageError);
  }
});

test('a change is not read with the schema of another resource, though the columns are the same', () => {
  const other = createChangeCodec({ ...rowType, resource: 'receipts' }, { namespace: 'tandem' });
  const decoder = createChangeDecoder(other.schema);
  expect(() => decoder.decode(codec.encode(change(), 3))).toThrow(
    'it is of invoices, and its schema of receipts',
  );
});
