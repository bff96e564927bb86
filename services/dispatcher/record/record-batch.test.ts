import { expect, test } from 'vitest';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createRecordBatch } from './record-batch.ts';
import type { RecordedEvent } from './recorded-event.ts';

const PARTITIONS = 12;
const ACCOUNTS = Array.from({ length: 40 }, (_, n) => `acc_${n}`);

/** A message's text is `<op> <account> <day>`; how changes are encoded is not what is tried here. */
const setUp = () => {
  const inserted: RecordedEvent[][] = [];
  const days: string[] = [];
  const event = (account: string, day: string, type: string): RecordedEvent => ({
    commitLsn: 1n,
    index: 0,
    xid: 1n,
    account,
    type,
    resource: 'invoices',
    recordKey: '["1"]',
    committedAt: `${day}T00:00:00.000000Z`,
    payloadHead: '',
    payloadTail: '',
  });
  const record = createRecordBatch(PARTITIONS, {
    readerOf: (message) => {
      const [op = '', account = '', day = ''] = message.toString().split(' ');
      const change = { op, account } as DecodedChange;
      return {
        decode: () => change,
        renderer: {
          render: () => event(account, day, 'invoice.created'),
          renderReset: (_change, each) => event(each, day, 'feed.reset'),
        },
      };
    },
    listAccounts: async () => ACCOUNTS,
    ensurePartitions: async (made) => {
      days.push(...made);
    },
    insert: async (events) => {
      inserted.push([...events]);
      return { accounts: [], count: events.length };
    },
    keptSince: () => '2026-01-02',
    onRecorded: () => undefined,
    log: silentLog,
  });
  const messages = (texts: readonly string[]) =>
    texts.map((value, offset) => ({ offset: String(offset), value: Buffer.from(value) }));
  return { record, inserted, days, messages };
};

test('a truncation is told to the accounts of its own partition only', async () => {
  const { record, inserted, messages } = setUp();
  await record(3, messages(['truncate * 2026-01-05']), async () => undefined);
  const expected = ACCOUNTS.filter((account) => accountPartition(account, PARTITIONS) === 3);
  expect(expected.length).toBeGreaterThan(0);
  expect(inserted.flat().map(({ account }) => account)).toEqual(expected);
});

test('a long batch goes in pieces, and its offset passes only what is inserted', async () => {
  const { record, inserted, messages } = setUp();
  const passed: string[] = [];
  await record(0, messages(Array(2_500).fill('insert acc_1 2026-01-05')), async (offset) => {
    passed.push(`${offset} after ${inserted.flat().length}`);
  });
  expect(passed).toEqual(['999 after 1000', '1999 after 2000', '2499 after 2500']);
});

test('partitions are made once a day, and what would be dropped again is passed over', async () => {
  const { record, inserted, days, messages } = setUp();
  const texts = ['insert a 2026-01-01', 'insert a 2026-01-02', 'insert a 2026-01-03'];
  const passed: string[] = [];
  for (let n = 0; n < 2; n++) await record(0, messages(texts), async (offset) => void passed.push(offset));
  expect(days).toEqual(['2026-01-02', '2026-01-03']);
  expect(inserted.map((events) => events.length)).toEqual([2, 2]);
  expect(passed).toEqual(['2', '2']);
});
