import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAX_RETRIES_OF_RECORD } from '../../../services/dispatcher/deliver/records-behind.ts';
import { readRecordEvents } from '../../../services/dispatcher/store/read-events.ts';
import type { Position } from '../../../shared/domain/position.ts';
import { type DispatcherBed, openDispatcherBed, untilCursor } from '../../support/dispatcher.ts';
import type { RunningService } from '../../support/services.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver, type ReceivedRequest } from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let dispatcher: RunningService | undefined;

beforeAll(async () => {
  bed = await openDispatcherBed();
});
afterAll(async () => {
  await dispatcher?.stop();
  await bed?.[Symbol.asyncDispose]();
});

const numberOf = (request: ReceivedRequest) => (JSON.parse(request.body) as { n: number }).n;
const recordOf = (request: ReceivedRequest) => (JSON.parse(request.body) as { record: number }).record;
const range = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n);

test('more events behind a failing one than are read ahead cost a few rows, and follow in order after a restart', async () => {
  await using receiver = await openWebhookReceiver();
  dispatcher = await bed.start();
  const accountId = await bed.addAccount('acc_1');
  receiver.answer = () => 500;
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.addEvents(range(1_200).map((lsn) => ({ accountId, lsn, record: 1 })));
  await bed.addEvents([{ accountId, lsn: 2_000, record: 2 }]);
  await receiver.until('the other record', (list) => list.some((one) => recordOf(one) === 2));
  const numbers = () => receiver.received.filter((one) => recordOf(one) === 1).map(numberOf);
  // On a busy machine the time of its first retries has come by now.
  expect(new Set(numbers())).toEqual(new Set([1]));
  await untilCursor(bed, id, 2_000);
  const { rows } = await bed.pool.query<{ commit_lsn: string; has_more: boolean }>(
    'select commit_lsn, has_more from webhook_parked where webhook_id = $1 and record_key = $2 order by commit_lsn',
    [id, 'invoices/["1"]'],
  );
  expect(rows.length).toBeLessThanOrEqual(MAX_RETRIES_OF_RECORD);
  expect(rows.map(({ has_more }) => has_more)).toEqual([...Array(rows.length - 1).fill(false), true]);
  await dispatcher.stop();
  dispatcher = await bed.start();
  receiver.answer = () => 200;
  await bed.pool.query('update webhook_parked set next_attempt_at = now() where next_attempt_at > now()');
  await bed.pool.query('update webhooks set updated_at = clock_timestamp()');
  await waitFor('no retry to be left', async () => {
    const { rowCount } = await bed.pool.query('select from webhook_parked where webhook_id = $1', [id]);
    return rowCount === 0;
  });
  expect(numbers().slice(-1_200)).toEqual(range(1_200));
  expect(new Set(numbers().slice(0, -1_200))).toEqual(new Set([1]));
});

test('the events of one record are found among many others, some at each look', async () => {
  const accountId = await bed.addAccount('acc_2');
  await bed.addEvents(range(100).map((lsn) => ({ accountId, lsn, record: lsn % 40 === 0 ? 1 : 2 })));
  const at = (lsn: number) => ({ commitLsn: BigInt(lsn), index: 0 });
  const looks: unknown[] = [];
  for (let after: Position | undefined = at(10); after !== undefined; ) {
    const { events, readTo } = await readRecordEvents(
      bed.pool,
      accountId,
      'invoices/["1"]',
      after,
      at(99),
      2,
      25,
    );
    looks.push([
      events.map(({ position }) => Number(position.commitLsn)),
      readTo && Number(readTo.commitLsn),
    ]);
    after = readTo;
  }
  expect(looks).toEqual([
    [[], 35],
    [[40], 60],
    [[80], 85],
    [[], undefined],
  ]);
});
