import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../../deploy/demo/random.ts';
import { type Cluster, createCluster } from './cluster.ts';
import { watchOwnership } from './ownership.ts';
import { startVirtualTime, type VirtualTime } from './virtual-time.ts';

const SECOND_MS = 1_000;

/** A dispatcher's lease; then the round in which another sees that it is over, and the statements of that round. */
const TAKEN_OVER_MS = 10 * SECOND_MS + SECOND_MS + 500;

/** Of a member that stops or has too much, and no request under way: a release, a notification, and the statements of one round. */
const HANDED_OVER_MS = 500;

const SAMPLE_MS = 50;

/** Where the number of statements is the point. */
const RARELY_MS = 500;

/** A test that was given up would leave the clock replaced for those after it. */
const PATIENT = { timeout: 600_000 };

/** Lets time pass, and looks at every step who has what. */
async function pass(
  time: VirtualTime,
  ms: number,
  sample: () => void,
  sampleMs: number = SAMPLE_MS,
): Promise<void> {
  for (const endMs = time.nowMs + ms; time.nowMs < endMs; ) {
    await time.advance(sampleMs);
    sample();
  }
}

const endpoints = (count: number) => Array.from({ length: count }, (_, n) => `whk_${n}`);
const accountOf = (endpointId: string) => `acct_${Number(endpointId.slice(4)) % 3}`;

async function withCluster(
  { members, count, sampleMs }: { members: number; count: number; sampleMs?: number },
  work: (
    cluster: Cluster,
    watch: ReturnType<typeof watchOwnership>,
    wait: (ms: number) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  using time = startVirtualTime();
  const cluster = createCluster(time, seededRandom(1));
  const watch = watchOwnership(cluster, () => time.nowMs);
  // Of one account they would share their reads.
  for (const id of endpoints(count)) cluster.addEndpoint(id, `acct_of_${id}`);
  for (let n = 0; n < members; n += 1) cluster.join();
  const wait = (ms: number) => pass(time, ms, watch.sample, sampleMs);
  await wait(3 * SECOND_MS);
  watch.reset();
  await work(cluster, watch, wait);
  expect(watch.ownedTwice).toEqual([]);
  expect(cluster.faults).toEqual([]);
  for (const member of [...cluster.members]) member.crash();
}

test('of one that dies, every endpoint is delivered to again within the lease and a round', PATIENT, () =>
  withCluster({ members: 4, count: 40 }, async (cluster, watch, wait) => {
    expect(watch.unownedCount).toBe(0);
    cluster.members[0]?.crash();
    await wait(TAKEN_OVER_MS);
    expect(watch.unownedCount).toBe(0);
    // It renewed its lease a moment before, or up to two seconds.
    expect(watch.longestUnownedMs).toBeGreaterThan(7 * SECOND_MS);
    const held = cluster.members.map(({ heldCount }) => heldCount);
    expect(Math.max(...held)).toBe(14);
    expect(held.reduce((sum, count) => sum + count)).toBe(40);
  }),
);

test('one that joins gets its share, and no endpoint waits longer than a hand-over', PATIENT, () =>
  withCluster({ members: 3, count: 40 }, async (cluster, watch, wait) => {
    cluster.join();
    await wait(6 * SECOND_MS);
    expect(cluster.members.map(({ heldCount }) => heldCount)).toEqual([10, 10, 10, 10]);
    expect(watch.unownedCount).toBe(0);
    expect(watch.longestUnownedMs).toBeLessThanOrEqual(HANDED_OVER_MS);
  }),
);

test(
  'what one that stops gives back is taken over at once, while its last request is under way',
  PATIENT,
  () =>
    withCluster({ members: 2, count: 40 }, async (cluster, watch, wait) => {
      const [stopping] = cluster.members;
      const [slow = ''] = stopping?.able.keys() ?? [];
      cluster.slowDown(slow, 10 * SECOND_MS);
      cluster.record(`acct_of_${slow}`);
      await wait(SECOND_MS);
      void stopping?.stop();
      await wait(HANDED_OVER_MS);
      expect(cluster.members.map(({ heldCount }) => heldCount)).toEqual([0, 39]);
      expect(watch.unownedCount).toBe(1);
      await wait(10 * SECOND_MS);
      expect(cluster.members.map(({ heldCount }) => heldCount)).toEqual([40]);
      expect(cluster.repeatedCount).toBe(0);
    }),
);

test('the first event after a start goes to every endpoint at once, however many they are', PATIENT, () =>
  withCluster({ members: 1, count: 800, sampleMs: RARELY_MS }, async (cluster, _watch, wait) => {
    for (const id of endpoints(800)) cluster.record(`acct_of_${id}`);
    // The log is read for eight endpoints at a time.
    await wait(3 * SECOND_MS);
    expect(cluster.undelivered()).toBe(0);
  }),
);

test('the surplus of one is given back by few statements, however many endpoints it is', PATIENT, () =>
  withCluster({ members: 1, count: 400, sampleMs: RARELY_MS }, async (cluster, _watch, wait) => {
    await wait(3 * SECOND_MS);
    cluster.resetCounts();
    cluster.join();
    await wait(6 * SECOND_MS);
    expect(cluster.members.map(({ heldCount }) => heldCount)).toEqual([200, 200]);
    expect(cluster.statements.get('release')).toBeLessThanOrEqual(4);
  }),
);

test(
  'at rest a hundred endpoints cost no more reads than a notification lost for 15 seconds is worth',
  PATIENT,
  () =>
    withCluster({ members: 1, count: 100, sampleMs: RARELY_MS }, async (cluster, _watch, wait) => {
      await wait(20 * SECOND_MS);
      cluster.resetCounts();
      await wait(60 * SECOND_MS);
      // Each is looked at every 15 seconds, and never all at once.
      expect(cluster.statements.get('read events')).toBeLessThanOrEqual(5 * 100);
    }),
);

test('at rest the reads of one dispatcher have a bound, however many endpoints it holds', PATIENT, () =>
  withCluster({ members: 1, count: 2_000, sampleMs: RARELY_MS }, async (cluster, _watch, wait) => {
    await wait(20 * SECOND_MS);
    cluster.resetCounts();
    await wait(10 * SECOND_MS);
    expect(cluster.statements.get('read events')).toBeLessThanOrEqual(12 * 100);
  }),
);

type Action =
  | { readonly kind: 'join' | 'crash' | 'stop' | 'add' | 'remove' | 'change' | 'pause' | 'resume' | 'record' }
  | { readonly kind: 'cut off'; readonly ms: number }
  | { readonly kind: 'wait'; readonly ms: number };

const simply = <K extends string>(kind: K) => fc.constant({ kind });

const action: fc.Arbitrary<Action> = fc.oneof(
  { arbitrary: simply('record'), weight: 8 },
  {
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 50, max: 6_000 }) }),
    weight: 8,
  },
  simply('join'),
  simply('crash'),
  simply('stop'),
  {
    arbitrary: fc.record({
      kind: fc.constant('cut off' as const),
      ms: fc.integer({ min: 500, max: 20_000 }),
    }),
    weight: 2,
  },
  simply('add'),
  simply('remove'),
  simply('change'),
  simply('pause'),
  simply('resume'),
);

/** A save that got stuck while its dispatcher was cut off moved the cursor back, once that dispatcher had the endpoint again. */
const FOUND: [Action[], number][] = [
  [
    [
      { kind: 'record' },
      { kind: 'pause' },
      { kind: 'join' },
      { kind: 'wait', ms: 351 },
      { kind: 'record' },
      { kind: 'cut off', ms: 10_932 },
    ],
    652_263_699,
  ],
];

test(
  'whoever joins, stops, dies or loses the store: no endpoint has two owners, and all end delivered, each share fair',
  PATIENT,
  () =>
    fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), fc.integer({ min: 1 }), async (actions, seed) => {
        using time = startVirtualTime();
        const random = seededRandom(seed);
        const cluster = createCluster(time, random);
        const watch = watchOwnership(cluster, () => time.nowMs);
        const wait = (ms: number) => pass(time, ms, watch.sample);
        const one = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];
        const anyEndpoint = () => one([...cluster.tables.ids()]) ?? '';
        const staying = () => cluster.members.filter(({ isStopping }) => !isStopping);
        let added = 0;
        const add = () => {
          const id = `whk_${added++}`;
          cluster.addEndpoint(id, accountOf(id));
        };
        const act = async (taken: Action) => {
          const { members } = cluster;
          switch (taken.kind) {
            case 'wait':
              return wait(taken.ms);
            case 'join':
              if (members.length < 5) cluster.join();
              return;
            case 'crash':
              if (staying().length > 1) one(staying())?.crash();
              return;
            case 'stop':
              if (staying().length > 1) void one(staying())?.stop();
              return;
            case 'cut off':
              void one(members)?.cutOff(taken.ms);
              return;
            case 'add':
              return add();
            case 'remove':
              return cluster.removeEndpoint(anyEndpoint());
            case 'change':
              return cluster.changeSettings(anyEndpoint());
            case 'pause':
              return cluster.setActive(anyEndpoint(), false);
            case 'resume':
              return cluster.setActive(anyEndpoint(), true);
            case 'record':
              return cluster.record(`acct_${Math.floor(random() * 3)}`);
          }
        };
        for (let n = 0; n < 12; n += 1) add();
        for (let n = 0; n < 3; n += 1) cluster.join();
        await wait(2 * SECOND_MS);
        for (const taken of actions) await act(taken);
        // The longest cut, then what remains to be delivered.
        await wait(20 * SECOND_MS + TAKEN_OVER_MS);
        await wait(30 * SECOND_MS);
        expect(watch.ownedTwice).toEqual([]);
        expect(cluster.faults).toEqual([]);
        expect(watch.unownedCount).toBe(0);
        expect(cluster.undelivered()).toBe(0);
        const held = cluster.members.flatMap(({ able }) => [...able.keys()]);
        expect(held.filter((id) => !cluster.tables.isActive(id))).toEqual([]);
        const share = cluster.tables.fairShare();
        for (const { heldCount } of cluster.members) expect(heldCount).toBeLessThanOrEqual(share);
        for (const member of [...cluster.members]) member.crash();
        await time.advance(SECOND_MS);
      }),
      { numRuns: 8, seed: 1, examples: FOUND },
    ),
);
