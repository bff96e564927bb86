import { expect, test } from 'vitest';
import { createReplica, type FeedEvent } from './replica.ts';

async function* lines(...texts: string[]) {
  yield* texts;
}

const event = (fields: Partial<FeedEvent>): FeedEvent => ({
  id: 'evt_1',
  type: 'invoice.updated',
  position: '1',
  resource: 'invoices',
  key: { id: 1 },
  data: { id: 1 },
  ...fields,
});

test('a replica holds the file with the feed applied, every digit kept', async () => {
  const replica = createReplica();
  await replica.loadLines('invoices', lines('{"id":1,"n":9007199254740993}', '{"id":2,"n":1.10}'), ['id']);
  replica.apply(event({ id: 'a', type: 'invoice.deleted', key: { id: 1 } }));
  expect([...replica.records('invoices').values()]).toEqual(['{"id":2,"n":1.10}']);
});

test('an event that comes twice is applied once', () => {
  const replica = createReplica();
  expect(replica.apply(event({ type: 'invoice.created' }))).toBe(true);
  expect(replica.apply(event({ type: 'invoice.created' }))).toBe(false);
  expect(replica.violations).toEqual([]);
});

test('a second create, an update of nothing and a step back are noticed', () => {
  const replica = createReplica();
  replica.apply(event({ id: 'a', type: 'invoice.updated', position: '5' }));
  replica.apply(event({ id: 'b', type: 'invoice.created', position: '6' }));
  replica.apply(event({ id: 'c', position: '4' }));
  expect(replica.violations).toHaveLength(3);
});

test('a record that stands twice in a file is noticed', async () => {
  const replica = createReplica();
  await replica.loadLines('invoices', lines('{"id":1}', '{"id":1}'), ['id']);
  expect(replica.violations).toHaveLength(1);
});
