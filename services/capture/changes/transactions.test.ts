import { expect, test } from 'vitest';
import type { Change } from '../../../shared/domain/change.ts';
import type { PgOutputMessage } from '../replication/pgoutput.ts';
import type { CapturedTable } from './captured-table.ts';
import {
  createTransactions,
  type EndedTransaction,
  type ResumePoint,
  TransactionOrderError,
} from './transactions.ts';

const TABLE: CapturedTable = {
  rowType: {
    resource: 'items',
    columns: ['id', 'account_id'].map((name) => ({
      name,
      type: { kind: 'string', pgName: 'text' },
      isKey: name === 'id',
    })),
  },
  tuplePlaces: [0, 1],
  keyPlaces: [0],
  ownerPlaces: [1],
  owner: { kind: 'column', accountText: (text) => text },
  isInIdentity: [true, true],
  isIdentitySufficient: true,
};
const FROM_START: ResumePoint = { passedLsn: 0n, lastCommitLsn: 0n, lastIndex: -1 };

interface Aside {
  readonly commitLsn: bigint;
  readonly fromIndex: number;
}

function run(messages: readonly PgOutputMessage[], resume: ResumePoint = FROM_START, aside?: Aside) {
  const unfit: string[] = [];
  const said: string[] = [];
  const flaws: (string | undefined)[] = [];
  const changes: Change[] = [];
  const ended: EndedTransaction[] = [];
  const resets: (readonly [resource: string, identity: string, index: number])[] = [];
  const transactions = createTransactions(resume, {
    resource: (relationId) => ({ 1: 'items', 3: 'unfit' })[relationId],
    table: (relationId) => (relationId === 1 ? TABLE : undefined),
    isPassedOver: (resource, commitLsn, index) =>
      resource === 'items' && aside?.commitLsn === commitLsn && index >= aside.fromIndex,
    onUnfit: (resource, { index }) => unfit.push(`${resource} ${index}`),
    onAside: (resource, news, { index }) => said.push(`${news} ${resource} ${index}`),
    widenXid: (xid) => BigInt(xid) + (1n << 32n),
    onChange(change, _table, flaw) {
      changes.push(change);
      flaws.push(flaw);
    },
    onAccountReset: ({ account, resource, source }) => resets.push([resource, account, source.index]),
    onReset: (change, { identity }) => resets.push([change.resource, identity, change.source.index]),
    onEnd: (transaction) => ended.push(transaction),
  });
  for (const message of messages) transactions.push(message, 7n);
  return { changes, ended, resets, transactions, unfit, said, flaws };
}

const begin = (commitLsn: bigint, xid = 5): PgOutputMessage => ({
  kind: 'begin',
  commitLsn,
  committedAtMicros: 1n,
  xid,
});
const commit = (commitLsn: bigint): PgOutputMessage => ({
  kind: 'commit',
  commitLsn,
  endLsn: commitLsn + 10n,
});
const insert = (id: string, relationId = 1): PgOutputMessage => ({
  kind: 'insert',
  relationId,
  after: [id, 'acme'],
});
const message = (prefix: string, content: string, isTransactional = true): PgOutputMessage => ({
  kind: 'message',
  isTransactional,
  lsn: 1n,
  prefix,
  content,
});
const seal = (content: string, isTransactional = true) => message('tandem.seal', content, isTransactional);

test('changes are counted from 0 in each transaction and know where they stand', () => {
  const { changes, ended } = run([
    begin(100n),
    insert('a'),
    insert('b'),
    commit(100n),
    begin(200n),
    insert('c'),
    commit(200n),
  ]);
  expect(changes.map(({ source }) => [source.commitLsn, source.index])).toEqual([
    [100n, 0],
    [100n, 1],
    [200n, 0],
  ]);
  expect(changes[0]?.source).toEqual({
    lsn: 7n,
    commitLsn: 100n,
    xid: (1n << 32n) + 5n,
    index: 0,
    committedAtMicros: 1n,
    bulkJobId: null,
  });
  expect(ended.map(({ changeCount, endLsn }) => [changeCount, endLsn])).toEqual([
    [2, 110n],
    [1, 210n],
  ]);
});

test('tables that are not captured take no index', () => {
  const { changes } = run([begin(100n), insert('x', 2), insert('a'), commit(100n)]);
  expect(changes).toMatchObject([{ after: ['a', 'acme'], source: { index: 0 } }]);
});

test('a change that becomes two takes two indexes', () => {
  const moved: PgOutputMessage = {
    kind: 'update',
    relationId: 1,
    before: { kind: 'full', values: ['a', 'acme'] },
    after: ['b', 'acme'],
  };
  const { changes } = run([begin(100n), moved, insert('c'), commit(100n)]);
  expect(changes.map(({ op, source }) => [op, source.index])).toEqual([
    ['delete', 0],
    ['insert', 1],
    ['insert', 2],
  ]);
});

test('a truncation of several tables is one change for each that is captured', () => {
  const { changes } = run([begin(100n), { kind: 'truncate', relationIds: [2, 1] }, commit(100n)]);
  expect(changes).toMatchObject([{ op: 'truncate', account: '*', resource: 'items', source: { index: 0 } }]);
});

test('a transaction that is in the topic is left out as a whole, its seal too', () => {
  const resume = { passedLsn: 110n, lastCommitLsn: 100n, lastIndex: 1 };
  const { changes, ended } = run(
    [
      begin(100n),
      insert('a'),
      seal('{"job_id":"j","token":"t"}'),
      commit(100n),
      begin(110n),
      insert('b'),
      commit(110n),
    ],
    resume,
  );
  expect(changes.map(({ source }) => source.commitLsn)).toEqual([110n]);
  expect(ended.map(({ commitLsn }) => commitLsn)).toEqual([110n]);
});

test('a transaction that is in the topic in part goes on with the next index', () => {
  const resume = { passedLsn: 50n, lastCommitLsn: 100n, lastIndex: 1 };
  const { changes, ended } = run([begin(100n), insert('a'), insert('b'), insert('c'), commit(100n)], resume);
  expect(changes.map(({ source }) => source.index)).toEqual([2]);
  expect(ended).toMatchObject([{ changeCount: 3 }]);
});

test('a seal is told at the end of its transaction; what is not one is passed over', () => {
  const { ended } = run([
    begin(100n),
    seal('{"job_id":"j","token":"t"}'),
    seal('not json'),
    seal('{"job_id":1}'),
    commit(100n),
  ]);
  expect(ended).toMatchObject([{ seals: [{ jobId: 'j', token: 't' }] }]);
});

const JOB = 'blk_01KZ0000000000000000000000';

test('what a bulk operation changes carries its ID, and the next transaction does not', () => {
  const { changes } = run([
    begin(100n),
    message('tandem.bulk', JOB),
    insert('a'),
    insert('b'),
    commit(100n),
    begin(200n),
    insert('c'),
    commit(200n),
  ]);
  expect(changes.map(({ source }) => [source.index, source.bulkJobId])).toEqual([
    [0, JOB],
    [1, JOB],
    [0, null],
  ]);
});

test('the rest of a bulk transaction that is in the topic in part carries its ID too', () => {
  const resume = { passedLsn: 50n, lastCommitLsn: 100n, lastIndex: 0 };
  const { changes } = run(
    [begin(100n), message('tandem.bulk', JOB), insert('a'), insert('b'), commit(100n)],
    resume,
  );
  expect(changes.map(({ source }) => [source.index, source.bulkJobId])).toEqual([[1, JOB]]);
});

test('what is no ID of a bulk operation is passed over', () => {
  const { changes } = run([
    begin(100n),
    message('tandem.bulk', 'blk_"'),
    message('tandem.bulk', JOB, false),
    message('other', JOB),
    insert('a'),
    commit(100n),
  ]);
  expect(changes[0]?.source.bulkJobId).toBeNull();
});

const RESETS = '{"tables": {"items": "7/8", "notes": "9/0"}}';

test('tables that are others than before are told in their place, and not again after a restart', () => {
  const messages = [begin(100n), message('tandem.reset', RESETS), insert('a'), commit(100n)];
  const { resets, changes } = run(messages);
  expect(resets).toEqual([
    ['items', '7/8', 0],
    ['notes', '9/0', 1],
  ]);
  expect(changes[0]?.source.index).toBe(2);
  expect(run(messages, { passedLsn: 50n, lastCommitLsn: 100n, lastIndex: 0 }).resets).toEqual([
    ['notes', '9/0', 1],
  ]);
  expect(run(messages, { passedLsn: 101n, lastCommitLsn: 100n, lastIndex: 2 }).resets).toEqual([]);
});

test('what names no tables resets nothing', () => {
  for (const content of ['', '[]', '{"tables": null}', '{"tables": {"items": 7}}']) {
    expect(run([begin(100n), message('tandem.reset', content), commit(100n)]).resets).toEqual([]);
  }
});

test('a message outside of transactions is nothing of ours', () => {
  expect(run([seal('{"job_id":"j","token":"t"}', false)]).ended).toEqual([]);
});

test('it says which transaction is open', () => {
  expect(run([begin(100n)]).transactions.xid).toBe((1n << 32n) + 5n);
  expect(run([begin(100n), commit(100n)]).transactions.xid).toBeUndefined();
});

test('an order that no server sends is refused', () => {
  expect(() => run([begin(100n), begin(200n)])).toThrow(TransactionOrderError);
  expect(() => run([insert('a')])).toThrow(TransactionOrderError);
  expect(() => run([begin(100n), commit(200n)])).toThrow(TransactionOrderError);
});

test('a message that is passed over takes one place, and so does a row of a table that does not fit', () => {
  const both: PgOutputMessage = {
    kind: 'update',
    relationId: 1,
    before: { kind: 'key', values: ['b', 'acme'] },
    after: ['c', 'acme'],
  };
  const messages = [begin(100n), both, both, insert('x', 3), insert('d'), commit(100n)];
  const first = run(messages, FROM_START, { commitLsn: 100n, fromIndex: 1 });
  // The first message began before that place, so both its changes have theirs.
  expect(first.changes.map(({ op, source }) => [op, source.index])).toEqual([
    ['delete', 0],
    ['insert', 1],
  ]);
  expect(first.unfit).toEqual(['unfit 3']);
  expect(first.ended[0]?.changeCount).toBe(5);
  // Streamed again behind its second change, everything else has the same places.
  const again = run(
    messages,
    { passedLsn: 0n, lastCommitLsn: 100n, lastIndex: 1 },
    { commitLsn: 100n, fromIndex: 1 },
  );
  expect(again.changes).toEqual([]);
  expect(again.unfit).toEqual(['unfit 3']);
});

test('a value that can not be read is a flaw of a row only where it would leave', () => {
  const unreadable = { places: [2], reason: 'it is not UTF-8' };
  const hidden: PgOutputMessage = { kind: 'insert', relationId: 1, after: ['a', 'acme', ''], unreadable };
  const seen: PgOutputMessage = { ...hidden, unreadable: { ...unreadable, places: [0] } };
  const { flaws } = run([begin(100n), hidden, seen, commit(100n)]);
  expect(flaws).toEqual([undefined, "a value in the column id can't be read: it is not UTF-8"]);
});

test('what capture says of a resource that is set aside has a place, and anything else of that name has none', () => {
  const say = (content: string) => message('tandem.aside', content);
  const { said, ended } = run([
    begin(100n),
    say('{"resource": "items", "news": "resume"}'),
    say('{"resource": "items", "news": "other"}'),
    say('nonsense'),
    commit(100n),
  ]);
  expect(said).toEqual(['resume items 0']);
  expect(ended[0]?.changeCount).toBe(1);
});
