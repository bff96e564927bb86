import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Change } from '../../../shared/domain/change.ts';
import type { PublicField } from '../../../shared/domain/public-field.ts';
import type { RowTexts } from '../../../shared/domain/row-type.ts';
import { createChangeCodec } from '../../../shared/values/change-codec.ts';
import { createPublicShape } from '../../../shared/values/public-shape.ts';
import { createRowCodec } from '../../../shared/values/row-codec.ts';
import { anyFieldRow, anyFields, FIELD_COLUMNS, fieldRowType } from '../../../test/support/any-fields.ts';
import { resource } from '../../../test/support/resource.ts';
import { createChangeReaders } from './render-event.ts';

const names = { namespace: 'tandem.samples', record: 'Row' };
const ROW = ['7', '1', 'x', 't', '{"city": "Bern"}', '1.10', '2026-01-02 03:04:05+00'];

function changeOf(
  op: Change['op'],
  before: RowTexts | null,
  after: RowTexts | null,
  rest: Partial<Change> = {},
): Change {
  return {
    op,
    account: 'acme',
    resource: 'samples',
    before,
    after,
    unchanged: [],
    missing: [],
    source: { lsn: 1n, commitLsn: 2n, xid: 3n, index: 0, committedAtMicros: 0n, bulkJobId: null },
    ...rest,
  };
}

/** The event of a change that capture wrote with `written`, by a dispatcher whose catalog has `read`. */
async function eventOf(
  change: Change,
  written: readonly PublicField[] | undefined,
  read = written,
  columns = FIELD_COLUMNS,
  hide: readonly string[] = [],
) {
  const rowType = { ...fieldRowType(written), columns };
  const codec = createChangeCodec(rowType, { namespace: 'tandem.shop' });
  const catalog = {
    name: 'shop',
    resources: [
      resource('samples', {
        softDelete: 'created_at',
        hide,
        ...(read === undefined ? {} : { fields: read }),
      }),
    ],
  };
  const schema = JSON.parse(JSON.stringify(codec.schema));
  const readerOf = createChangeReaders(catalog, {
    fetch: () => Promise.resolve(schema),
    forget: () => undefined,
  });
  const message = codec.encode(change, 5);
  const { decode, renderer } = await readerOf(message);
  const event = renderer?.render(decode(message));
  const text = `${event?.payloadHead}acct_1${event?.payloadTail}`;
  return { text, event, body: JSON.parse(text) };
}

test('the row in a file and the event of the same version are the same JSON, whatever the fields', async () => {
  await fc.assert(
    fc.asyncProperty(anyFields, anyFieldRow, anyFieldRow, async (fields, before, row) => {
      const codec = createRowCodec(fieldRowType(fields), names);
      const inFile = codec.decodeToJson(codec.encode(row, 5));
      const { text, body } = await eventOf(changeOf('update', before.with(0, row[0] ?? null), row), fields);
      expect(text).toContain(`"data":${inFile},"previous":`);
      const former = JSON.parse(codec.decodeToJson(codec.encode(before.with(0, row[0] ?? null), 5)));
      for (const [name, value] of Object.entries(body.previous)) expect(value).toEqual(former[name]);
      const key = Object.keys(body.key);
      expect(key).toHaveLength(1);
      expect(body.data[key[0] ?? '']).toBe(Number(row[0]));
    }),
    { numRuns: 300 },
  );
});

const FIELDS: PublicField[] = [
  { name: 'no', column: 'id' },
  { name: 'status', column: 'state', map: { 0: 'draft', 1: 'open', 2: 'open' } },
  { name: 'city', column: 'data', path: ['city'], type: 'text' },
  { name: 'zip', column: 'data', path: ['zip'], type: 'json' },
  { name: 'removed_at', column: 'created_at' },
];

test('previous has the fields whose public value changed, and a value that was not sent again is named by its fields', async () => {
  const living = ROW.with(6, null as never);
  const { body } = await eventOf(
    changeOf(
      'update',
      living,
      living
        .with(1, '0')
        .with(2, 'y')
        .with(4, null as never),
      { unchanged: ['data'] },
    ),
    FIELDS,
  );
  expect(body).toMatchObject({
    type: 'sample.updated',
    key: { no: 7 },
    data: { no: 7, status: 'draft', removed_at: null },
    previous: { status: 'open' },
    unchanged: ['city', 'zip'],
  });
  expect(Object.keys(body.previous)).toEqual(['status']);
  const unseen = await eventOf(changeOf('update', living, living.with(1, '2').with(2, 'y')), FIELDS);
  expect(unseen.body.previous).toEqual({});
});

test('a change from before a column was renamed reads as one from after it', async () => {
  const renamed = FIELD_COLUMNS.map((column) =>
    ['id', 'state', 'created_at'].includes(column.name) ? { ...column, name: `${column.name}_old` } : column,
  );
  const old = FIELDS.map((field) =>
    'column' in field && renamed.some(({ name }) => name === `${field.column}_old`)
      ? { ...field, column: `${field.column}_old` }
      : field,
  );
  const change = changeOf('update', ROW.with(6, null as never), ROW);
  const after = await eventOf(change, FIELDS);
  const before = await eventOf(change, old, FIELDS, renamed);
  expect(before.text).toBe(after.text);
  expect(before.event).toEqual(after.event);
  expect(after.body.type).toBe('sample.deleted');
});

test('a field that the catalog no longer has is left out, and a change from before there were fields has them', async () => {
  const change = changeOf('insert', null, ROW.with(6, null as never));
  const withheld = await eventOf(
    change,
    FIELDS,
    FIELDS.filter(({ name }) => name !== 'city'),
  );
  expect(withheld.body.data).toEqual({ no: 7, status: 'open', zip: null, removed_at: null });
  const earlier = await eventOf(change, undefined, FIELDS);
  expect(earlier.text).toBe((await eventOf(change, FIELDS)).text);
  const unfit = await eventOf(change, undefined, [
    { name: 'id', column: 'id' },
    { name: 'x', column: 'gone' },
  ]);
  expect(unfit.body).toMatchObject({ type: 'feed.reset', data: { resources: ['samples'] } });
});

test('a column that is hidden now is left out of a waiting change, also where its field is another column’s by now', async () => {
  const written: PublicField[] = [...FIELDS, { name: 'remark', column: 'label' }];
  const read: PublicField[] = [...FIELDS, { name: 'remark', column: 'total' }];
  const change = changeOf('update', ROW.with(2, 'secret'), ROW.with(2, 'more secret'));
  const { text, body } = await eventOf(change, written, read, FIELD_COLUMNS, ['label']);
  expect(text).not.toContain('secret');
  expect(Object.keys(body.data)).toEqual(FIELDS.map(({ name }) => name));
  expect((await eventOf(change, written, read)).body.data).toMatchObject({ remark: 'more secret' });
});

test('the JSON nulls of an event are named by its fields', async () => {
  const { event } = await eventOf(changeOf('insert', null, ROW.with(4, '{"zip": null}')), FIELDS);
  expect(event?.jsonNulls).toBe('{"data":["zip"],"previous":[]}');
  expect(createPublicShape(fieldRowType(FIELDS)).namesOf(['data', 'state'])).toEqual([
    'status',
    'city',
    'zip',
  ]);
});
