import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { parsePosition } from '../../../shared/domain/position.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { applyEvent } from './apply-event.ts';
import type { PulledEvent } from './feed-pages.ts';
import { openRecordStore, type RecordStore } from './record-store.ts';
import { CouldNotTellError } from './verify-api.ts';

const CATALOG: Catalog = {
  name: 'test',
  resources: [
    {
      name: 'notes',
      table: { schema: 'public', name: 'notes' },
      event: 'note',
      key: ['id'],
      account: 'account_id',
      range: undefined,
      softDelete: undefined,
      hide: [],
      related: [],
      operations: {},
      syncLimit: 1,
    },
  ],
};

let records: RecordStore;
let found: string[];
let lastIndex: number;

beforeEach(() => {
  records = openRecordStore(join(temporaryDirectory(), 'records.db'));
  found = [];
  lastIndex = 0;
});
afterEach(() => records[Symbol.dispose]());

function apply(verb: string, fields: Partial<PulledEvent> = {}): void {
  const positionText = '0000000000000001-0000000000';
  const position = parsePosition(positionText);
  if (position === undefined) throw new Error('no position');
  const event: PulledEvent = {
    id: 'evt_1',
    type: `note.${verb}`,
    resource: 'notes',
    position,
    positionText,
    xid: 2n ** 40n,
    index: lastIndex++,
    key: '{"id":1}',
    data: '{"id":1,"text":"a","big":"b"}',
    previous: undefined,
    unchanged: [],
    ...fields,
  };
  applyEvent(event, { records, catalog: CATALOG, onViolation: ({ text }) => found.push(text) });
}

test('a large value that did not change is taken from the record before, in its place', () => {
  apply('created');
  apply('updated', { data: '{"id":1,"big":"c"}', unchanged: ['text'] });
  expect(records.find('notes', '{"id":1}')).toEqual({ json: '{"id":1,"text":"a","big":"c"}', unknown: [] });
  expect(found).toEqual([]);
});

test('of a record that nobody had, such a value is unknown', () => {
  apply('created', { data: '{"id":1,"text":"a"}', unchanged: ['big'] });
  expect(records.find('notes', '{"id":1}')).toEqual({ json: '{"id":1,"text":"a"}', unknown: ['big'] });
  apply('updated', { previous: '{"big":"whatever it was"}' });
  expect(found).toEqual([]);
});

test('a change that comes twice, a second creation and an update of nothing are noticed', () => {
  apply('created');
  apply('created');
  apply('deleted');
  apply('deleted');
  apply('updated');
  apply('updated', { index: 0 });
  expect(found.map((text) => text.replace(/ \(.*/, ''))).toEqual([
    'created, but it was there',
    'updated, but it was not there',
    'the same change is in the feed twice',
  ]);
});

test('a former value that the record never had tells of a lost change, digit for digit', () => {
  apply('created', { data: '{"id":1,"n":1.10}' });
  apply('updated', { data: '{"id":1,"n":2}', previous: '{"n":1.10}' });
  expect(found).toEqual([]);
  apply('updated', { data: '{"id":1,"n":3}', previous: '{"n":2.0}' });
  expect(found).toEqual(['an earlier change of n is missing (evt_1)']);
});

test('after a reset nobody can know the records, and why is said', () => {
  const data = '{"reason":"table_truncated","resources":["notes"]}';
  expect(() => apply('x', { type: 'feed.reset', key: 'null', data })).toThrow(/notes .*\(table_truncated\)/);
  expect(() => apply('x', { type: 'feed.reset', key: 'null' })).toThrow(CouldNotTellError);
});

test('records that were not taken are left over, whatever their number', () => {
  for (let id = 0; id < 20_000; id += 1) records.insert('notes', `{"id":${id}}`, `{"id":${id}}`);
  expect(records.insert('notes', '{"id":5}', 'another')).toBe(false);
  for (let id = 0; id < 20_000; id += 1) if (id % 5_000 !== 7) records.take('notes', `{"id":${id}}`);
  const left = [...records.rest()].map(({ key }) => key);
  expect(new Set(left)).toEqual(new Set(['{"id":7}', '{"id":5007}', '{"id":10007}', '{"id":15007}']));
  expect(left).toHaveLength(4);
});
