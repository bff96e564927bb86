import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CaptureWorld, createCaptureWorld } from '../support/capture-world.ts';
import type { ReadChange } from '../support/change-reader.ts';
import { waitFor } from '../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (
    id bigint primary key, account_id text not null, name text, big text, secret text, deleted_at timestamptz);
  alter table app.items alter column big set storage external;
  create table app.notes (
    account_id text, id bigint, body text, primary key (account_id, id));
  alter table app.notes alter column body set storage external;
  create table app.other (id bigint primary key, x text);
`;

const CATALOG = `
catalog: probe
resources:
  items:
    table: app.items
    event: item
    key: [id]
    account: account_id
    soft_delete: deleted_at
    hide: [secret]
  notes:
    table: app.notes
    event: note
    key: [account_id, id]
    account: account_id
`;

let world: CaptureWorld;
let seenCount = 0;

beforeAll(async () => {
  world = await createCaptureWorld({
    schemaSql: SCHEMA,
    catalog: CATALOG,
  });
  await world.start();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  seenCount = world.reader.changes.length;
});

/** Waits for that many new changes, in the order of their positions. */
async function newChanges(count: number): Promise<ReadChange[]> {
  await waitFor(`${count} changes`, () => world.reader.changes.length >= seenCount + count);
  return inOrder(world.reader.changes.slice(seenCount));
}

function inOrder(changes: readonly ReadChange[]): ReadChange[] {
  return changes.toSorted((a, b) =>
    a.commitLsn === b.commitLsn ? a.index - b.index : a.commitLsn < b.commitLsn ? -1 : 1,
  );
}

test('an insert comes with its account, its key and without hidden columns', async () => {
  await world.pool.query(`insert into app.items values (1, 'acme', 'first', 'b', 'hidden', null)`);
  expect(await newChanges(1)).toMatchObject([
    {
      op: 'insert',
      account: 'acme',
      resource: 'items',
      key: 'acme/items/["1"]',
      before: null,
      after: { id: '1', account_id: 'acme', name: 'first', big: 'b', deleted_at: null },
      index: 0,
    },
  ]);
  expect(world.reader.changes.at(-1)?.after).not.toHaveProperty('secret');
});
