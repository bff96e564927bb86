import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededRandom } from '../../deploy/demo/random.ts';
import { createScratchDatabase } from '../../deploy/local/scratch-database.ts';
import { migrate } from '../../shared/control/migrate.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { type Cluster, createCluster } from '../simulation/cluster.ts';
import { type QueuedJob, runJobQueue } from '../simulation/job-queue.ts';
import { watchOwnership } from '../simulation/ownership.ts';
import { startVirtualTime } from '../simulation/virtual-time.ts';
import type { BenchOptions } from './bench-exports.ts';
import { distribution } from './distribution.ts';

const DISPATCHERS = 10;
const ENDPOINTS_PER_ACCOUNT = 2;
const STEP_MS = 250;
const REST_SECONDS = 60;
const CUT_MS = 20_000;

const JOB_ACCOUNTS = 50;
const JOB_SLOTS = 8;
const CHUNK_MS = 1_000;

/** An account's jobs have one chunk to this many. */
const MOST_CHUNKS = 5;

/**
 * The code of production for leases and delivery over a model of the control store, in virtual time: `--endpoints` over ten dispatchers,
 * of which one dies, one joins and one stops. Then `--jobs` bulk jobs, half of them one tenant's, by the statements of production
 * on a real control store, their work in virtual time.
 */
export async function benchSimulate(options: BenchOptions): Promise<void> {
  await simulateEndpoints(options);
  await simulateJobs(options);
}

async function simulateEndpoints({ endpoints, say }: BenchOptions): Promise<void> {
  const collectGarbage = exposeGc();
  using time = startVirtualTime();
  const cluster = createCluster(time, seededRandom(1));
  const watch = watchOwnership(cluster, () => time.nowMs);
  const accountOf = (n: number) => `acct_${Math.floor(n / ENDPOINTS_PER_ACCOUNT)}`;
  for (let n = 0; n < endpoints; n += 1) cluster.addEndpoint(`whk_${n}`, accountOf(n));
  const passUntil = async (isDone: () => boolean, mostMs: number) => {
    for (const endMs = time.nowMs + mostMs; time.nowMs < endMs && !isDone(); ) {
      await time.advance(STEP_MS);
      watch.sample();
    }
  };
  const isSettled = () =>
    watch.unownedCount === 0 &&
    cluster.members.every(({ heldCount }) => heldCount <= cluster.tables.fairShare());
  /** Does something to the cluster, and tells what came of it until each endpoint is delivered to by its fair share again. */
  const change = async (what: string, act: () => void, leastMs = STEP_MS) => {
    watch.reset();
    cluster.resetCounts();
    const startedMs = time.nowMs;
    act();
    watch.sample();
    await passUntil(() => time.nowMs > startedMs + leastMs && isSettled(), 600_000);
    const seconds = (time.nowMs - startedMs) / 1_000;
    say(
      `${what}: settled after ${seconds.toFixed(1)} s, the longest without a dispatcher ` +
        `${(watch.longestUnownedMs / 1_000).toFixed(1)} s; ${statementsLine(cluster, seconds)}`,
    );
  };

  collectGarbage();
  const beforeBytes = process.memoryUsage().heapUsed;
  await change(`${endpoints} endpoints, ${DISPATCHERS} dispatchers start`, () => {
    for (let n = 0; n < DISPATCHERS; n += 1) cluster.join();
  });
  // The first look of each endpoint into the log.
  await passUntil(() => false, REST_SECONDS * 1_000);
  collectGarbage();
  const bytesEach = (process.memoryUsage().heapUsed - beforeBytes) / endpoints;
  say(`memory of an endpoint at rest: ${(bytesEach / 1_024).toFixed(1)} kB of heap`);
  cluster.resetCounts();
  await passUntil(() => false, REST_SECONDS * 1_000);
  say(`at rest: ${statementsLine(cluster, REST_SECONDS)}`);
  await change('one of them dies', () => cluster.members[0]?.crash());
  await change('one joins', () => void cluster.join());
  await change('one stops', () => void cluster.members[1]?.stop());
  const cutOff = () => void cluster.members[2]?.cutOff(CUT_MS);
  await change('one is cut off from the control store for 20 s', cutOff, CUT_MS + STEP_MS);
  await passUntil(isSettled, 60_000);
  say(
    `endpoints with two dispatchers at once: ${watch.ownedTwice.length}; requests for an endpoint of another: ${cluster.faults.length}`,
  );
  for (const fault of [...watch.ownedTwice, ...cluster.faults].slice(0, 5)) say(`  ${fault}`);
}

function statementsLine({ statements }: Cluster, seconds: number): string {
  const shown = [...statements]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${(count / seconds).toFixed(1)}`);
  return `statements a second: ${shown.join(', ')}`;
}

function exposeGc(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

async function simulateJobs({ stack, jobs, say }: BenchOptions): Promise<void> {
  await using database = await createScratchDatabase(stack.databaseUrl, 'simulated');
  await using cleanup = new AsyncDisposableStack();
  const pool = cleanup.adopt(
    createControlPool(database.url, silentLog, { applicationName: 'simulation' }),
    (open) => open.end(),
  );
  await migrate(pool);
  const accounts = Array.from({ length: JOB_ACCOUNTS }, (_, n) => `acct_${n}`);
  await pool.query(
    'insert into accounts (id, name, source_id) select id, id, id from unnest($1::text[]) id',
    [accounts],
  );
  const random = seededRandom(1);
  const made = Array.from({ length: jobs }, (_, n): QueuedJob => {
    // The first half are one tenant's.
    const account = n < jobs / 2 ? 0 : 1 + (n % (JOB_ACCOUNTS - 1));
    return {
      id: `blk_${n}`,
      accountId: `acct_${account}`,
      chunks: 1 + Math.floor(random() * MOST_CHUNKS),
    };
  });
  const run = await runJobQueue(pool, {
    jobs: made,
    slots: JOB_SLOTS,
    chunkMs: () => CHUNK_MS * (0.5 + random()),
  });
  const endedOf = (isFlood: boolean) =>
    made
      .filter(({ accountId }) => (accountId === 'acct_0') === isFlood)
      .map(({ id }) => run.endedMs.get(id) ?? Number.POSITIVE_INFINITY);
  const chunks = run.claims.length;
  say(
    `${jobs} queued jobs of ${JOB_ACCOUNTS} accounts, half of them one tenant's and first; ${chunks} chunks, ${JOB_SLOTS} at once: ` +
      `${(run.statements / chunks).toFixed(1)} statements for each chunk; at most ${run.mostRunning} jobs of an account ran`,
  );
  say(`  the tenant's jobs ended: ${distribution(endedOf(true))}`);
  say(`  all others' ended:       ${distribution(endedOf(false))}`);
}
