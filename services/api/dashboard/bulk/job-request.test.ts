import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExactNumber } from '../../../../shared/domain/exact-json.ts';
import { languageOf } from '../messages/messages.ts';
import {
  type FormFacts,
  type Operation,
  type Param,
  placeFaults,
  type Resource,
  readJobRequest,
  readRows,
  splitIds,
  splitList,
} from './job-request.ts';

const { create: text } = languageOf('en').text.bulk;

const param = (name: string, rest: Partial<Param> = {}): Param => ({
  name,
  type: 'text',
  json_type: 'string',
  format: null,
  nullable: false,
  values: null,
  max_length: null,
  ...rest,
});

const resource = (rest: Partial<Resource['fields'][number]> = {}) =>
  ({
    name: 'invoices',
    key: ['id'],
    fields: [{ ...param('id', { json_type: 'integer' }), is_key: true, filters: [], ...rest }],
  }) as unknown as Resource;

const operation = (params: readonly Param[], rest: Partial<Operation> = {}): Operation => ({
  name: 'update',
  kind: 'update',
  params: [...params],
  sets: [],
  takes_any_params: false,
  ...rest,
});

const read = (fields: Record<string, string>, facts: Partial<FormFacts> = {}) =>
  readJobRequest(new URLSearchParams(fields), {
    resource: resource(),
    operation: operation([]),
    by: 'filter',
    failedIds: [],
    maxIds: 3,
    text,
    number: String,
    ...facts,
  });

test('conditions become a filter; a row without a field counts for nothing', () => {
  const fields = {
    'field.0': 'status',
    'operator.0': 'in',
    'value.0': 'open, "a, b"',
    'field.1': '',
    'value.1': 'x',
    'field.2': 'paid_at',
    'operator.2': 'is_not_null',
  };
  expect(read(fields)).toEqual({
    body: {
      resource: 'invoices',
      operation: 'update',
      async: true,
      params: {},
      filter: { and: [{ status: { in: ['open', 'a, b'] } }, { paid_at: { is_null: false } }] },
    },
    faults: [],
  });
  expect(read({ ...fields, match: 'any', semantics: 'live', max_failures: '5' }).body).toMatchObject({
    filter: { or: [{}, {}] },
    semantics: 'live',
    max_failures: 5,
  });
  const errors = [
    { pointer: '/filter/and/1/paid_at/is_null', detail: 'a' },
    { pointer: '/params/a~1b', detail: 'b' },
    { pointer: '/filter', detail: 'c' },
    { pointer: '/other', detail: 'd' },
  ];
  expect(placeFaults(errors, new URLSearchParams(fields)).map(({ place }) => place)).toEqual([
    'row.2',
    'param.a/b',
    'filter',
    '',
  ]);
});

test.each<[Record<string, string>, Partial<FormFacts>, string, string]>([
  [{}, {}, 'filter', text.faults.noCondition],
  [{ ids: ' ,\n' }, { by: 'ids' }, 'ids', text.faults.noIds],
  [{ ids: '1 2 3 4' }, { by: 'ids' }, 'ids', text.faults.tooManyIds('3')],
  [{}, { by: 'all' }, 'all', text.faults.notSure],
  [{}, { by: 'file' }, 'file', text.faults.noFile],
  [{}, { by: 'failed' }, '', text.noneFailed],
  [{ ids: '1', max_failures: '0' }, { by: 'ids' }, 'max_failures', text.faults.noNumber],
])('%o selected by %o lacks something at %s', (fields, facts, place, detail) => {
  expect(read(fields, facts).faults).toEqual([{ place, detail }]);
});

test('every record is meant only when it is confirmed', () => {
  expect(read({ all: 'on' }, { by: 'all' })).toMatchObject({ body: { filter: {}, all: true }, faults: [] });
});

test('params have the types that the operation gives them', () => {
  const params = [
    param('memo'),
    param('total', { json_type: 'number', format: 'decimal' }),
    param('paid', { json_type: 'boolean' }),
    param('tags', { json_type: 'array' }),
    param('data', { json_type: 'any' }),
    param('due', { nullable: true }),
    param('left'),
  ];
  const fields = {
    'mode.memo': 'set',
    'set.memo': 'a\r\nb',
    'mode.total': 'set',
    'set.total': ' 1.10 ',
    'mode.paid': 'set',
    'set.paid': 'true',
    'mode.tags': 'set',
    'set.tags': 'x, y\r\nz',
    'mode.data': 'set',
    'set.data': '{"n": 9007199254740993}',
    'mode.due': 'clear',
    'mode.left': 'keep',
    all: 'on',
  };
  const facts = { by: 'all', operation: operation(params) } as const;
  expect(read(fields, facts)).toMatchObject({
    body: {
      params: {
        memo: 'a\nb',
        total: '1.10',
        paid: true,
        tags: ['x, y', 'z'],
        data: { n: new ExactNumber('9007199254740993') },
        due: null,
      },
    },
    faults: [],
  });
  expect(read({ ...fields, 'set.left': 'x', 'set.data': '{' }, facts).faults).toEqual([
    { place: 'param.data', detail: text.faults.noJson('data') },
    { place: 'param.left', detail: text.faults.notChosen('left') },
  ]);
  expect(read({ all: 'on' }, facts).faults).toEqual([{ place: 'params', detail: text.faults.nothingSet }]);
});

test('an only parameter is set without a choice, and a handler takes an object', () => {
  const by = 'all';
  const only = operation([param('memo')]);
  expect(read({ all: 'on', 'set.memo': '' }, { by, operation: only }).body).toMatchObject({
    params: { memo: '' },
  });
  const handler = operation([], { kind: 'handler', takes_any_params: true });
  expect(read({ all: 'on', params: '{"a": 1}' }, { by, operation: handler }).body).toMatchObject({
    params: { a: 1 },
  });
  for (const params of ['[1]', '7', 'null', '{']) {
    expect(read({ all: 'on', params }, { by, operation: handler }).faults).toEqual([
      { place: 'params', detail: text.faults.noObject },
    ]);
  }
});

test('IDs of numbers and UUIDs are separated by anything, texts by lines', () => {
  const sent = '1, 2;3\r\n\r\n 4 5 ';
  expect(splitIds(sent, resource())).toEqual(['1', '2', '3', '4', '5']);
  expect(splitIds(sent, resource({ json_type: 'string' }))).toEqual(['1, 2;3', '4 5']);
  expect(splitIds(sent, resource({ json_type: 'string', format: 'uuid' }))).toHaveLength(5);
});

test('a list in double quotes is read as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: fc.constantFrom(...'ab ",\n') }), { minLength: 1 }), (values) => {
      const written = values.map((value) => `"${value.replaceAll('"', '""')}"`).join(', ');
      expect(splitList(written)).toEqual(values);
    }),
  );
});

test('a list costs no more for being odd, and what is not quoted well stays as it is', () => {
  // A second for 10,000 characters where the cost grows with the square of their number.
  const odd = `${'"'.repeat(400_000)}x`;
  expect(splitList(odd)).toEqual([odd]);
  expect(splitList(`${'",'.repeat(100_000)}x`)).toHaveLength(50_001);
  expect(splitList('"a"b, c,, "d""", ,"e')).toEqual(['"a"b', 'c', 'd"', '"e']);
});

test.each([
  ['too deep', `{"a":${'['.repeat(9_000)}${']'.repeat(9_000)}}`, /64/],
  ['of too many values', `{"a":[${'1,'.repeat(6_000)}1]}`, /5,?000/],
  ['with a NUL', '{"a":"\\u0000"}', /NUL/],
  ['with half of a pair', '{"a":"\\ud800"}', /surrogate/],
])('JSON in a field has the limits of a body: %s', (_what, params, fault) => {
  const any = operation([], { kind: 'handler', takes_any_params: true });
  const ofAny = read({ ids: '1', params }, { by: 'ids', operation: any });
  expect(ofAny.faults).toEqual([{ place: 'params', detail: expect.stringMatching(fault) }]);
  const typed = operation([param('note', { json_type: 'any' })]);
  const { faults } = read({ ids: '1', 'set.note': params }, { by: 'ids', operation: typed });
  expect(faults).toEqual([{ place: 'param.note', detail: expect.stringMatching(fault) }]);
});

test('rows end where the form has none, and at their limit', () => {
  expect(readRows(new URLSearchParams())).toEqual([{ field: '', operator: 'eq', value: '' }]);
  const many = new URLSearchParams(
    Array.from({ length: 50 }, (_, index): [string, string] => [`field.${index}`, 'x']),
  );
  expect(readRows(many)).toHaveLength(20);
});
