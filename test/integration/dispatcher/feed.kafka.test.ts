import { once } from 'node:events';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { storeFeedState } from '../../../services/dispatcher/mirror/store-feed.ts';
import { createMessageCodec, type SetAsideMessage } from '../../../shared/kafka/messages.ts';
import { createRegistry } from '../../../shared/kafka/registry.ts';
import { subjectsOf } from '../../../shared/protocol/names.ts';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from '../../support/dispatcher.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';

let cleanup: AsyncDisposableStack;
let bed: DispatcherBed;
let receiver: WebhookReceiver;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  bed = cleanup.use(await openDispatcherBed());
  receiver = cleanup.use(await openWebhookReceiver());
});
afterEach(() => cleanup.disposeAsync());

const eventCount = async () => {
  const { rows } = await bed.pool.query<{ count: number }>('select count(*)::int as count from events');
  return rows[0]?.count ?? 0;
};
const range = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n);

test('changes of known accounts become events once, whatever Kafka delivers twice', async () => {
  const dispatcher = cleanup.use(await bed.start());
  const accountId = await bed.addAccount('acc_1');
  await bed.addEndpoint({ accountId, url: receiver.url });
  const changes = range(50).map((lsn) => invoiceChange({ account: 'acc_1', lsn, id: lsn }));
  await bed.publish([...changes, ...changes, invoiceChange({ account: 'acc_unknown', lsn: 60 })]);
  await bed.publish([...changes, invoiceChange({ account: 'acc_1', lsn: 70, id: 70 })]);
  await receiver.until('the last', (list) => list.length >= 51);
  expect(await eventCount()).toBe(51);
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(51);
  expect(receiver.received).toHaveLength(51);
  const first = receiver.received.find(({ body }) =>
    body.includes('"position":"0000000000000001-0000000000"'),
  );
  expect(JSON.parse(first?.body ?? '')).toEqual({
    id: 'evt_00000000000000010000000000',
    type: 'invoice.created',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    account_id: accountId,
    position: '0000000000000001-0000000000',
    resource: 'invoices',
    key: { id: 1 },
    data: { id: 1, account_id: 'acc_1', memo: 'memo 1', deleted_at: null },
    transaction: { id: '1', index: 0 },
  });
  await dispatcher.stop();
});

test('a truncation is told to every account, in its place', async () => {
  const dispatcher = cleanup.use(await bed.start());
  const accounts = await Promise.all(['acc_1', 'acc_2', 'acc_3'].map((name) => bed.addAccount(name)));
  for (const accountId of accounts)
    await bed.addEndpoint({ accountId, url: receiver.url, events: ['invoice.created'] });
  await bed.publish([
    invoiceChange({ account: 'acc_1', lsn: 10 }),
    invoiceChange({ account: '', lsn: 20, op: 'truncate', after: null }),
    invoiceChange({ account: 'acc_1', lsn: 30 }),
  ]);
  await receiver.until('all five', (list) => list.length === 5);
  const resets = receiver.received
    .map(({ body }) => JSON.parse(body))
    .filter(({ type }) => type === 'feed.reset');
  expect(resets.map(({ account_id }) => account_id).sort()).toEqual([...accounts].sort());
  expect(resets[0]).toMatchObject({ data: { reason: 'table_truncated', resources: ['invoices'] } });
  await dispatcher.stop();
});

test('changes that come later than events are kept are told as a reset, once, unless they were told in time', async () => {
  const dispatcher = cleanup.use(await bed.start({ EVENT_RETENTION_DAYS: '2' }));
  const DAY_MS = 24 * 60 * 60 * 1_000;
  const monthAgo = new Date(Date.now() - 30 * DAY_MS);
  const late = (lsn: number) => {
    const change = invoiceChange({ account: 'acc_1', lsn });
    const committedAtMicros = BigInt(Date.now() - 3 * DAY_MS) * 1_000n;
    return { ...change, source: { ...change.source, committedAtMicros } };
  };
  const accountId = await bed.addAccount('acc_1');
  await bed.pool.query('update accounts set created_at = $1', [monthAgo]);
  await bed.addEndpoint({ accountId, url: receiver.url, events: ['invoice.created'] });
  await bed.publish([late(10), late(11), invoiceChange({ account: 'acc_1', lsn: 20 }), late(21)]);
  await receiver.until('both', (list) => list.length === 2);
  // Read again from the beginning, as after the offsets were lost: all of it is known to have been told.
  await bed.publish([late(10), late(11), invoiceChange({ account: 'acc_1', lsn: 30 })]);
  await receiver.until('the next', (list) => list.length === 3);
  const received = receiver.received.map(({ body }) => JSON.parse(body) as { position: string });
  expect(received.toSorted((a, b) => (a.position < b.position ? -1 : 1))).toMatchObject([
    { type: 'feed.reset', key: null, data: { reason: 'events_expired', resources: ['invoices'] } },
    { type: 'invoice.created', data: { memo: 'memo 20' } },
    { type: 'invoice.created', data: { memo: 'memo 30' } },
  ]);
  await dispatcher.stop();
});

test('how far capture has come, and seals, are mirrored and never go back', async () => {
  const dispatcher = cleanup.use(await bed.start());
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const codec = createMessageCodec(createRegistry(schemaRegistryUrl), subjectsOf(bed.prefix));
  const producer = new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  cleanup.defer(() => producer.disconnect());
  await bed.pool.query(
    `insert into exports (id, request, resources, status, phase, seal_token)
     values ('exp_1', '{}', '{}', 'running', 'extracting', 'right')`,
  );
  const state = (settled: number, passed: number, systemId = '7', setAside: SetAsideMessage[] = []) =>
    codec.encode('CaptureState', 'slot', {
      slot: 'slot',
      system_id: systemId,
      timeline: 1,
      last_commit_lsn: passed,
      last_index: 0,
      passed_lsn: passed,
      settled_lsn: settled,
      snapshot: '1:1:',
      unsettled: [],
      unsettled_xmin: null,
      set_aside: setAside,
      catalog: [{ resource: 'invoices', fingerprint: passed < 0x24 ? 'former' : 'present' }],
    });
  const seal = (token: string) =>
    codec.encode('FeedSealed', 'exp_1', { job_id: 'exp_1', token, commit_lsn: 0x30 });
  const mirrored = async () => {
    const { rows } = await bed.pool.query('select settled_lsn, passed_lsn, system_id from feed_state');
    return rows[0];
  };
  await producer.send({ topic: `${bed.prefix}.capture`, messages: [await state(16, 32)] });
  await waitFor('the first state', async () => (await mirrored())?.passed_lsn === '0/20');
  await producer.send({ topic: `${bed.prefix}.capture`, messages: [await state(8, 33)] });
  await waitFor('the second state', async () => (await mirrored())?.passed_lsn === '0/21');
  expect(await mirrored()).toEqual({ settled_lsn: '0/10', passed_lsn: '0/21', system_id: '7' });
  const aside = (resource: string, lsn: number): SetAsideMessage => ({
    resource,
    reason: 'row_unencodable',
    detail: 'd',
    commit_lsn: lsn,
    from_index: 1,
    since: 1_700_000_000_000,
    row_key: null,
    is_remind_due: false,
  });
  const asides = async () => {
    const { rows } = await bed.pool.query(
      'select resource, since_lsn, until_lsn from feed_set_aside order by since_lsn',
    );
    return rows.map((row) => Object.values(row).join(' '));
  };
  // Two at once, of which one comes back in the same fetch; what is said of an earlier position comes late.
  await producer.send({
    topic: `${bed.prefix}.capture`,
    messages: [
      await state(16, 0x22, '7', [aside('invoices', 0x22), aside('customers', 0x23)]),
      await state(16, 0x24, '7', [aside('invoices', 0x22)]),
    ],
  });
  await waitFor('what is set aside', async () => (await mirrored())?.passed_lsn === '0/24');
  await producer.send({ topic: `${bed.prefix}.capture`, messages: [await state(16, 0x21)] });
  await producer.send({
    topic: `${bed.prefix}.capture`,
    messages: [await state(16, 0x25, '7', [aside('invoices', 0x22)])],
  });
  await waitFor('the next state', async () => (await mirrored())?.passed_lsn === '0/25');
  expect(await asides()).toEqual(['invoices 0/22 ', 'customers 0/23 0/24']);
  // Another dispatcher has the partition for a while, and stores something else.
  await (await bed.start()).stop();
  await bed.pool.query(
    `insert into feed_set_aside (resource, since_lsn, since_at, reason, detail)
     values ('documents', '0/26', now(), 'row_unencodable', 'd')`,
  );
  await producer.send({
    topic: `${bed.prefix}.capture`,
    messages: [await state(16, 0x27, '7', [aside('invoices', 0x22)])],
  });
  await waitFor('the state behind it', async () => (await mirrored())?.passed_lsn === '0/27');
  expect(await asides()).toEqual(['invoices 0/22 ', 'customers 0/23 0/24', 'documents 0/26 0/27']);
  // By what catalog changes are written, and since when.
  const { rows: entries } = await bed.pool.query('select resource, fingerprint, since_lsn from feed_catalog');
  expect(entries).toEqual([{ resource: 'invoices', fingerprint: 'present', since_lsn: '0/24' }]);
  await producer.send({ topic: `${bed.prefix}.jobs`, messages: [await seal('wrong'), await seal('right')] });
  await waitFor('the seal', async () => {
    const { rows } = await bed.pool.query(`select sealed_lsn from exports where id = 'exp_1'`);
    return rows[0]?.sealed_lsn === '0/30';
  });
  await producer.send({ topic: `${bed.prefix}.capture`, messages: [await state(3, 4, '8')] });
  await waitFor('the other system', async () => (await mirrored())?.system_id === '8');
  expect(await mirrored()).toEqual({ settled_lsn: '0/3', passed_lsn: '0/4', system_id: '8' });
  await dispatcher.stop();
});

test('of two instances of capture the later chain counts, whatever their clocks say, and no number goes back', async () => {
  const stored = async (at: number, passedLsn: number, chain: { id: string; seqs: number[] } | null) => {
    const { passed_lsn, settled_lsn } = { passed_lsn: passedLsn, settled_lsn: 1 };
    const base = {
      slot: 's',
      system_id: '7',
      timeline: 1,
      last_commit_lsn: passedLsn - 1,
      last_index: 0,
      snapshot: '',
    };
    const rest = { unsettled: [], unsettled_xmin: null, passed_lsn, settled_lsn, chain };
    await storeFeedState(bed.pool, { ...base, ...rest, at });
    const { rows } = await bed.pool.query(
      `select last_commit_lsn::text as last, chain_id || ' ' || array_to_string(chain_seqs, ',') as chain from feed_state`,
    );
    last = rows[0]?.last;
    return rows[0]?.chain;
  };
  let last: string | undefined;
  expect(await stored(5_000, 10, { id: 'a', seqs: [3, 1] })).toBe('a 3,1');
  // Amid a transaction only the numbers move on; a partition that is counted for the first time lengthens the list.
  expect(await stored(4_000, 10, { id: 'a', seqs: [4, 1, 1] })).toBe('a 4,1,1');
  expect(await stored(6_000, 10, { id: 'a', seqs: [3, 2] })).toBe('a 4,2,1');
  expect(await stored(3_000, 11, { id: 'b', seqs: [1] })).toBe('b 1');
  expect(await stored(7_000, 10, { id: 'a', seqs: [9, 9] })).toBe('b 1');
  expect(await stored(8_000, 12, null)).toBe('b 1');
  expect(last).toBe('0/B');
  await stored(9_000, 10, null);
  expect(last).toBe('0/B');
});

test('killed with requests under way, nothing is lost, no more is repeated than it takes at once, and nothing behind a later event of its record', async () => {
  const accountId = await bed.addAccount('acc_1');
  const windowSize = 10;
  await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: windowSize });
  const first = await bed.spawn();
  let isHolding = false;
  receiver.answer = () => (isHolding && receiver.received.length % 3 > 0 ? undefined : 200);
  await bed.publish(range(400).map((lsn) => invoiceChange({ account: 'acc_1', lsn, id: lsn % 40 })));
  await receiver.until('a part', (list) => list.length > 100);
  isHolding = true;
  await waitFor('its window to be full', () => receiver.openCount === windowSize);
  await first.kill();
  await bed.endLeases();
  isHolding = false;
  await bed.spawn();
  await waitFor('all', () => new Set(receiver.received.map(({ id }) => id)).size === 400);
  await waitFor('the cursor', async () => {
    const { rows } = await bed.pool.query(`select cursor_lsn = '0/190' as ok from webhooks`);
    return rows[0]?.ok;
  });
  expect(receiver.received.length).toBeLessThanOrEqual(400 + windowSize);
  const last = new Map<number, string>();
  for (const { id, body } of receiver.received) {
    const record = (JSON.parse(body) as { key: { id: number } }).key.id;
    expect(id >= (last.get(record) ?? '')).toBe(true);
    last.set(record, id);
  }
});

test('stopped with requests under way, each of them is finished and none repeated', async () => {
  const accountId = await bed.addAccount('acc_1');
  await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 8 });
  const held: (() => void)[] = [];
  receiver.answer = (_request, response) => {
    if (receiver.received.length <= 40) return 200;
    held.push(() => response.writeHead(200).end());
    return undefined;
  };
  const { child: first } = await bed.spawn();
  await bed.publish(range(200).map((lsn) => invoiceChange({ account: 'acc_1', lsn, id: lsn })));
  await receiver.until('a part, and its window to be full', () => held.length === 8);
  const exited = once(first, 'exit');
  first.kill('SIGTERM');
  receiver.answer = () => 200;
  for (const answer of held) answer();
  const [code] = await exited;
  expect(code).toBe(0);
  const { rows } = await bed.pool.query('select lease_owner from webhooks');
  expect(rows).toEqual([{ lease_owner: null }]);
  expect(receiver.received.length).toBeLessThan(200);
  cleanup.use(await bed.start());
  await receiver.until('all', (list) => list.length >= 200);
  expect(receiver.received).toHaveLength(200);
});

test('two dispatchers share the endpoints, and each event is sent by one of them', async () => {
  const accounts = range(6).map((n) => `acc_${n}`);
  for (const name of accounts) {
    const accountId = await bed.addAccount(name);
    await bed.addEndpoint({ accountId, url: `${receiver.url}?${name}` });
  }
  const first = cleanup.use(await bed.start());
  const second = cleanup.use(await bed.start());
  const shares = async () => {
    const { rows } = await bed.pool.query<{ count: number }>(
      'select count(*)::int as count from webhooks where lease_owner is not null group by lease_owner',
    );
    return rows.map(({ count }) => count);
  };
  await waitFor('fair shares', async () => (await shares()).join() === '3,3');
  const publish = (from: number) =>
    bed.publish(
      range(120, from).map((lsn) => invoiceChange({ account: `acc_${1 + (lsn % 6)}`, lsn, id: lsn % 7 })),
    );
  await publish(1);
  await receiver.until('the first half', (list) => list.length >= 120);
  // One leaves while there is work: the other takes over.
  const leaving = first.stop();
  await publish(121);
  await leaving;
  await receiver.until('the other half', (list) => list.length >= 240);
  await waitFor('one to hold all', async () => (await shares()).join() === '6');
  expect(receiver.received).toHaveLength(240);
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(240);
  await second.stop();
});
