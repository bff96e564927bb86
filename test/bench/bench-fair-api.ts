import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Customer, openWorld } from '../../deploy/demo/world.ts';
import type { ApiAttack, ApiAttackOptions, AttackReport } from './api-attack.ts';
import type { BenchOptions } from './bench-exports.ts';
import { distribution } from './distribution.ts';
import { forkApart } from './fork-apart.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const REQUESTS_PER_SECOND = 40;
/** The window of the limits of a key: in a third of it a flood is admitted at 300 a second, and then it is refused. */
const SECONDS = 60;
const WARM_UP_SECONDS = 5;
/** For an attack to open its connections. The attacker yields, so a busy machine makes it slow. */
const ONSET_LIMIT_MS = 60_000;

/** Connections of the customers, which come and go, beside those that an attack has left open. */
const OWN_CONNECTIONS = 10;

/** More than the sockets between the api and its client hold: some 30 MB. */
const ROWS = 100_000;

/** A neighbour is left alone if its p99 is at most so many times what it is alone. */
const BOUND = 2;

const ATTACKS: readonly ApiAttack[] = [
  'forty connections',
  'stalled downloads',
  'long queries',
  'large bodies',
  'unknown keys',
  'silent connections',
  '4,000 connections',
  '4,000 strangers',
  'public pages',
  'tiny chunks',
  'pipelined requests',
  'new connections',
];

/** One account's requests alone, and beside what one hostile tenant or somebody without a key does to the same api, at niceness 19. */
export async function benchFairApi({ say, ...options }: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: ROWS,
    accounts: 2,
    mainAccountShare: 0.99,
    services: { api: 1, capture: 1, dispatcher: 1, extractor: 1, writer: 1 },
    log: options.log,
  });
  const [loudId = '', quietId = ''] = world.generated.accounts;
  const loud = await world.createCustomer(loudId);
  const quiet = await world.createCustomer(quietId);
  const link = await exportLink(loud);

  /** @returns the quiet account's 99th percentile, in ms */
  const measure = async (what: string, seconds = SECONDS): Promise<number> => {
    const meter = startMeter(world.services, options.parts);
    const { tookMs, refused } = await askPaced(world.apiUrl, quiet, seconds);
    const usage = usageLines(meter.stop(), tookMs.length);
    say(`${what}: ${distribution(tookMs)}, ${refused} refused; ${machineLoad()}`);
    for (const line of usage) say(line);
    return tookMs.toSorted((a, b) => a - b)[Math.floor(tookMs.length * 0.99)] ?? Number.POSITIVE_INFINITY;
  };

  await measure('warming up', WARM_UP_SECONDS);
  const [apiPid = 0] = world.services.pids('api');
  const filesBefore = openFiles(apiPid);
  /** Waits until the api has closed the connections of an attack that has ended. */
  const closed = async () => {
    const limitMs = performance.now() + ONSET_LIMIT_MS;
    while (openFiles(apiPid) > filesBefore + OWN_CONNECTIONS && performance.now() < limitMs) await delay(100);
  };
  let aloneMs = await measure('alone');
  for (const attack of ATTACKS) {
    const attackOptions: ApiAttackOptions = { attack, url: world.apiUrl, key: loud.key, link };
    const besideMs = await (async () => {
      await using attacker = await forkApart(new URL('./api-attack.ts', import.meta.url));
      let last: AttackReport = {
        endedCount: 0,
        admittedCount: 0,
        refusedCount: 0,
        connections: 0,
        begunCount: 0,
      };
      attacker.on('message', (report: AttackReport) => {
        last = report;
      });
      attacker.send(attackOptions);
      const limitMs = performance.now() + ONSET_LIMIT_MS;
      const isFull = () => last.connections > 0 && last.begunCount === last.connections;
      while (!isFull() && performance.now() < limitMs) await delay(100);
      if (!isFull()) {
        const { begunCount, connections } = last;
        say(
          `  NOT AT FULL STRENGTH after ${ONSET_LIMIT_MS / 1_000} s: ${begunCount} of ${connections} connections`,
        );
      }
      const before = last;
      const p99Ms = await measure(`beside ${attack}`);
      const ended = last.endedCount - before.endedCount;
      const admitted = last.admittedCount - before.admittedCount;
      const refused = last.refusedCount - before.refusedCount;
      say(
        `  ${ended} of its requests and connections ended meanwhile, ${admitted} admitted and ${refused} refused`,
      );
      return p99Ms;
    })();
    await closed();
    const aloneAfterMs = await measure('alone again');
    // The machine is not the same all the time: what counts is the time just before and just after.
    const times = besideMs / ((aloneMs + aloneAfterMs) / 2);
    aloneMs = aloneAfterMs;
    say(
      `  ${times.toFixed(1)} times the p99 alone: ${times <= BOUND ? 'within' : 'OVER'} the bound of ${BOUND}`,
    );
  }
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

async function exportLink({ client }: Customer): Promise<string> {
  interface Shown {
    readonly id: string;
    readonly status: string;
    readonly files?: readonly { readonly url: string }[];
  }
  const { id } = await client.call<Shown>('POST', '/exports', { resource: 'invoices' });
  for (;;) {
    const { status, files } = await client.call<Shown>('GET', `/exports/${id}`);
    const [file] = files ?? [];
    if (file !== undefined) return file.url;
    if (status === 'failed') throw new Error(`the export ${id} failed`);
    await delay(100);
  }
}

/** Lists and dry runs in turn, each at its time whether or not the one before is answered. */
async function askPaced(
  url: string,
  { key }: Customer,
  seconds: number,
): Promise<{ tookMs: number[]; refused: number }> {
  const tookMs: number[] = [];
  let refused = 0;
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const dryRun = {
    resource: 'invoices',
    operation: 'void',
    dry_run: true,
    filter: { status: { eq: 'open' } },
  };
  const ask = async (n: number) => {
    const atMs = performance.now();
    const answer = await (n % 2 === 0
      ? fetch(`${url}/exports`, { headers })
      : fetch(`${url}/bulk/operations`, { method: 'POST', headers, body: JSON.stringify(dryRun) })
    ).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.status !== 200) refused += 1;
    tookMs.push(performance.now() - atMs);
  };
  const pending: Promise<void>[] = [];
  const startedMs = performance.now();
  for (let n = 0; n < seconds * REQUESTS_PER_SECOND; n += 1) {
    pending.push(ask(n));
    const waitMs = startedMs + ((n + 1) * 1_000) / REQUESTS_PER_SECOND - performance.now();
    if (waitMs > 1) await delay(waitMs);
  }
  await Promise.all(pending);
  return { tookMs, refused };
}
