import { join } from 'node:path';
import pg from 'pg';
import type { World } from '../../deploy/demo/world.ts';
import { type Services, STOP_GRACE_MS, startServices } from '../../deploy/local/supervise.ts';
import type { Log } from '../../shared/runtime/log.ts';
import type { SilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { UPGRADE_ORDER } from './replace-services.ts';

export interface SwitchOptions {
  readonly world: World;
  /** What customers reach the API through. */
  readonly front: SilentProxy;
  /** The checkouts whose sets take over, one after the other. */
  readonly roots: readonly string[];
  readonly directory: string;
  readonly log: Log;
  /** Stops the last set, which runs on. */
  readonly cleanup: AsyncDisposableStack;
  /** Resolves once this many more exports are loaded. */
  untilWorked(exports: number): Promise<void>;
  say(line: string): void;
}

const READY_LIMIT_MS = 240_000;

/** Two customers export at a time, so one of these exports has begun after the last step. */
const EXPORTS_OF_A_STEP = 3;

/**
 * Blue/green: a whole set of services starts beside the one that works, on the same store, topics and slot. Both work. Then the
 * customers' requests move to the new set, and all processes of the former one get SIGTERM at once.
 *
 * @returns how many sets took over
 * @throws Error when a process ends by itself, or does not end in time
 */
export async function switchSets(options: SwitchOptions): Promise<number> {
  const { world, front, roots, directory, log, cleanup, untilWorked, say } = options;
  const counts = Object.fromEntries(UPGRADE_ORDER.map((name) => [name, world.services.pids(name).length]));
  const source = cleanup.adopt(new pg.Pool({ connectionString: world.sourceUrl, max: 1 }), (pool) =>
    pool.end(),
  );
  let present: Services = world.services;
  let presentPids = pidsOf(present);
  for (const [index, root] of roots.entries()) {
    const next = cleanup.use(
      await startServices({
        env: world.env,
        services: counts,
        log,
        home: join(directory, `set-${index + 1}`),
        mainOf: (name) => join(root, 'services', name, 'main.ts'),
      }),
    );
    await next.untilReady({ limitMs: READY_LIMIT_MS });
    const nextPids = pidsOf(next);
    await untilWorked(EXPORTS_OF_A_STEP);
    say(`set ${index + 1} has worked beside the former one`);
    front.cut(Number(new URL(next.apiUrl).port));
    await untilWorked(EXPORTS_OF_A_STEP);
    say('customers reach the API of the new set');
    if (pidsOf(present) !== presentPids || pidsOf(next) !== nextPids)
      throw new Error(`a process ended by itself: its log is in ${directory}`);
    const reader = await readerOf(source, world);
    const [stopMs, takeoverMs] = await Promise.all([
      millisecondsOf(() => present.stop()),
      millisecondsOf(() =>
        waitFor('another capture to read the slot', async () => {
          const now = await readerOf(source, world);
          return now !== null && now !== reader;
        }),
      ),
    ]);
    say(`the former set ended after ${stopMs} ms; another capture read the slot after ${takeoverMs} ms`);
    if (stopMs >= STOP_GRACE_MS) throw new Error('a process of the former set did not end by itself');
    await untilWorked(EXPORTS_OF_A_STEP);
    present = next;
    presentPids = nextPids;
  }
  return roots.length;
}

const pidsOf = (services: Services) => UPGRADE_ORDER.map((name) => services.pids(name).join()).join(' ');

async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return Math.round(performance.now() - startedMs);
}

/** The session of the source that reads the slot; null while nobody does. */
async function readerOf(source: pg.Pool, { prefix }: World): Promise<number | null> {
  const { rows } = await source.query<{ pid: number | null }>(
    'select active_pid as pid from pg_replication_slots where slot_name = $1',
    [prefix],
  );
  return rows[0]?.pid ?? null;
}
