import { expect, test } from 'vitest';
import type { RowType } from '../../../shared/domain/row-type.ts';
import { type EventRow, readEventRow } from './event-row.ts';
import { createRecordFold } from './rebuild-record.ts';

const rowType: RowType = {
  resource: 'notes',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'title', type: { kind: 'string', pgName: 'text' }, isKey: false },
    { name: 'body', type: { kind: 'json', pgName: 'jsonb' }, isKey: false },
  ],
};

interface Told {
  data: object;
  previous?: object;
  unchanged?: string[];
}

function event(op: EventRow['op'], told: Told, jsonNulls: object = {}, isFilledLater = false): EventRow {
  const payload = JSON.stringify({ id: 'evt_1', ...told });
  const row = readEventRow(rowType, { op, jsonNulls, payload, isFilledLater });
  if (row === undefined) throw new Error('not readable');
  return row;
}

function rebuild(before: EventRow[], after: EventRow[]) {
  const fold = createRecordFold(rowType);
  for (const each of before) fold.add(false, () => each);
  for (const each of after) fold.add(true, () => each);
  return fold.state();
}
const whole = (title: string, body: unknown = null) => ({ id: 1, title, body });

test('a record is as it was before the first change that followed', () => {
  const first = event('update', { data: whole('b'), previous: { title: 'a' } });
  const second = event('update', { data: whole('c'), previous: { title: 'b' } });
  expect(rebuild([], [first, second])).toEqual({ kind: 'present', row: ['1', 'a', null] });
  expect(rebuild([], [event('delete', { data: whole('z') })])).toMatchObject({ row: ['1', 'z', null] });
  expect(rebuild([], [event('insert', { data: whole('n') }), first])).toEqual({ kind: 'absent' });
});

test('with nothing behind the cut it is as the last change left it', () => {
  expect(rebuild([event('insert', { data: whole('a') })], [])).toMatchObject({ row: ['1', 'a', null] });
  expect(rebuild([event('delete', { data: whole('a') })], [])).toEqual({ kind: 'absent' });
});

test('SQL NULL and a JSON null are told apart, before the change and after it', () => {
  const nulls = event('update', { data: whole('b', 1), previous: { body: null } }, { previous: ['body'] });
  expect(rebuild([], [nulls])).toMatchObject({ row: ['1', 'b', 'null'] });
  expect(rebuild([event('insert', { data: whole('b') }, { data: ['body'] })], [])).toMatchObject({
    row: ['1', 'b', 'null'],
  });
});

test('what a replica identity does not carry is taken from the event before the cut', () => {
  const partial = event('update', { data: whole('c', 2) });
  expect(rebuild([], [partial])).toMatchObject({ kind: 'unknown', columns: ['id', 'title', 'body'] });
  expect(rebuild([event('insert', { data: whole('a', 1) })], [partial])).toMatchObject({
    row: ['1', 'a', '1'],
  });
  const deleted = event('delete', { data: { id: 1 } });
  expect(rebuild([], [deleted])).toMatchObject({ kind: 'unknown', columns: ['title', 'body'] });
  expect(rebuild([event('update', { data: whole('b', 1) })], [deleted])).toMatchObject({
    row: ['1', 'b', '1'],
  });
});

test('a value that was not sent again is looked for further on, on either side', () => {
  const kept = (title: string) => event('update', { data: { id: 1, title }, unchanged: ['body'] });
  const told = event('update', { data: whole('e', 5), previous: { body: 4 } });
  expect(rebuild([event('insert', { data: whole('a') })], [kept('b'), told])).toMatchObject({
    row: ['1', 'a', '4'],
  });
  const inserted = event('insert', { data: whole('a', 3) });
  expect(rebuild([inserted, kept('b')], [kept('c')])).toMatchObject({ row: ['1', 'b', '3'] });
  expect(rebuild([kept('b')], [kept('c')])).toMatchObject({ kind: 'unknown', columns: ['body'] });
});

test('a record that was there before does not speak for its successor', () => {
  const gone = event('delete', { data: whole('old') });
  const back = event('insert', { data: whole('new') });
  expect(rebuild([event('insert', { data: whole('old') }), gone], [back])).toEqual({ kind: 'absent' });
  const partial = event('update', { data: whole('x') });
  expect(rebuild([gone], [partial])).toMatchObject({ kind: 'unknown' });
});

test('a value that was read later than the change counts only for a state that has what was read', () => {
  const filled = { filled: { columns: ['body'], lsn: '0/FF' } };
  const moved = (isLater: boolean) => event('insert', { data: whole('a', 9) }, filled, isLater);
  expect(rebuild([moved(false)], [])).toMatchObject({ row: ['1', 'a', '9'] });
  expect(rebuild([moved(true)], [])).toMatchObject({ kind: 'unknown', columns: ['body'], isMadeAnew: true });
  const restored = event('update', { data: whole('b', 9) }, filled, true);
  expect(rebuild([event('insert', { data: whole('a', 3) }), restored], [])).toMatchObject({
    row: ['1', 'b', '3'],
  });
  expect(rebuild([restored], [])).toMatchObject({ kind: 'unknown', columns: ['body'], isMadeAnew: false });
  const told = event('update', { data: whole('c', 5), previous: { body: 4 } });
  expect(rebuild([moved(true)], [told])).toMatchObject({ row: ['1', 'c', '4'] });
});

test('events that can tell nothing more are not read', () => {
  const fold = createRecordFold(rowType);
  fold.add(true, () => event('update', { data: whole('b'), previous: { title: 'a' } }));
  fold.add(true, () => {
    throw new Error('was read');
  });
  expect(fold.state()).toMatchObject({ row: ['1', 'a', null] });
});

test('an event of a version that kept less is not read', () => {
  const payload = JSON.stringify({ data: whole('a') });
  expect(readEventRow(rowType, { op: null, jsonNulls: null, payload, isFilledLater: false })).toBeUndefined();
});
