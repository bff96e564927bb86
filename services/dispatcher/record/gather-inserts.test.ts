import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { gatherInserts } from './gather-inserts.ts';
import type { RecordedEvent } from './insert-events.ts';

const event = (account: string, payloadHead = '') =>
  ({ account, payloadHead, payloadTail: '' }) as RecordedEvent;
const many = (account: string) => Array.from({ length: 101 }, () => event(account));

/** Statements that end when the test says so, each shown as its accounts. */
const setUp = (isRefused: (account: string) => boolean = () => false) => {
  const statements: { readonly accounts: string; end(): void }[] = [];
  let unsureCount = 0;
  const insert = gatherInserts(
    async (events) => {
      const accounts = [...new Set(events.map(({ account }) => account))];
      await new Promise<void>((end) => void statements.push({ accounts: accounts.join(), end }));
      if (accounts.some(isRefused)) throw new Error(`no ${accounts.join()}`);
      return {
        accounts: new Map(accounts.map((account) => [account, `acc_${account}`])),
        count: events.length,
      };
    },
    () => {
      unsureCount += 1;
    },
  );
  const shown = () => statements.map(({ accounts }) => accounts);
  const endAll = async () => {
    for (let ended = 0; ended < statements.length; ended += 1) {
      statements[ended]?.end();
      await nextTurn();
    }
  };
  return { insert, shown, endAll, unsureCount: () => unsureCount };
};

test('few events that come while a statement is under way share the next one', async () => {
  const { insert, shown, endAll } = setUp();
  const inserting = [insert([event('a')])];
  await nextTurn();
  inserting.push(insert([event('b')]), insert([event('c')]));
  await nextTurn();
  expect(shown()).toEqual(['a']);
  await endAll();
  expect(shown()).toEqual(['a', 'b,c']);
  const inserted = await Promise.all(inserting);
  expect(inserted.map(({ accounts }, n) => accounts.get('abc'[n] ?? ''))).toEqual([
    'acc_a',
    'acc_b',
    'acc_c',
  ]);
});

test('events that cannot be inserted keep out no others, which may have been recorded the first time', async () => {
  const { insert, shown, endAll, unsureCount } = setUp((account) => account === 'b');
  const inserting = [insert([event('a')])];
  await nextTurn();
  inserting.push(insert([event('b')]), insert([event('c')]));
  const settled = Promise.allSettled(inserting);
  await endAll();
  expect(shown()).toEqual(['a', 'b,c', 'b', 'c']);
  expect(unsureCount()).toBe(1);
  expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});

test('few events wait for no statement of many, of which four are under way at once', async () => {
  const { insert, shown, endAll } = setUp();
  const inserting = ['a', 'b', 'c', 'd', 'e'].map((account) => insert(many(account)));
  inserting.push(insert([event('few')]));
  await nextTurn();
  expect(shown().toSorted()).toEqual(['a', 'b', 'c', 'd', 'few']);
  await endAll();
  await Promise.all(inserting);
  expect(shown().at(-1)).toBe('e');
});

test('events with much text share no statement, however few they are', async () => {
  const { insert, shown, endAll } = setUp();
  const inserting = [insert([event('a')])];
  await nextTurn();
  inserting.push(insert([event('long', 'x'.repeat(300_001))]), insert([event('c')]));
  await nextTurn();
  expect(shown()).toEqual(['a', 'long']);
  await endAll();
  await Promise.all(inserting);
  expect(shown()).toEqual(['a', 'long', 'c']);
});
