import { expect, test } from 'vitest';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import { createReadChanges } from './read-changes.ts';

const setUp = (stored: ChainLink | null = null) => {
  let asked = 0;
  const read = createReadChanges(async () => {
    asked += 1;
    return stored;
  });
  /** What was found at each, and where it stands in the count. */
  const take = async (...links: string[]) => {
    const changes = await read(
      links.map((chain, offset) => ({ offset: String(offset), value: Buffer.from(''), headers: { chain } })),
    );
    return changes.map(({ isAfterGap, link }) =>
      isAfterGap ? 'gap' : link === undefined ? 'again' : 'next',
    );
  };
  return { read, take, asked: () => asked };
};

test('records that are missing in the topic are noticed once, where they should be', async () => {
  const { take } = setUp();
  // Nothing was recorded before, then the next ones, then some again.
  expect(await take('aa:7', 'aa:8')).toEqual(['next', 'next']);
  expect(await take('aa:7', 'aa:8', 'aa:9')).toEqual(['again', 'again', 'next']);
  expect(await take('aa:11')).toEqual(['gap']);
  expect(await take('aa:12', 'aa:14', 'aa:15')).toEqual(['next', 'gap', 'next']);
  // A state of capture that was lost, and what is left of the chain before it.
  expect(await take('ab:1', 'aa:16', 'ab:2')).toEqual(['gap', 'again', 'next']);
});

test('who takes a partition over asks once how far it is recorded', async () => {
  const { take, asked } = setUp({ chain: 'aa', seq: 20 });
  expect(await take('aa:19', 'aa:20', 'aa:21')).toEqual(['again', 'again', 'next']);
  expect(await take('aa:23')).toEqual(['gap']);
  expect(asked()).toBe(1);
});

test('a change is of the account that its headers name, unless it concerns all', async () => {
  const { read } = setUp();
  const headers = [
    { account: Buffer.from('acc_1'), op: Buffer.from('update') },
    { account: Buffer.from('acc_1'), op: Buffer.from('truncate') },
    { account: Buffer.from('*'), op: Buffer.from('truncate') },
    {},
  ];
  const changes = await read(
    headers.map((each, offset) => ({ offset: String(offset), value: Buffer.from(''), headers: each })),
  );
  expect(changes.map(({ account }) => account)).toEqual(['acc_1', undefined, undefined, undefined]);
});
