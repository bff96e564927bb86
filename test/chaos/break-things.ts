import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../deploy/demo/random.ts';
import type { World } from '../../deploy/demo/world.ts';
import type { ServiceName } from '../../deploy/local/supervise.ts';
import type { OwnKafka } from '../support/own-kafka.ts';
import type { OwnPostgres } from '../support/own-postgres.ts';

export interface Breakables {
  readonly world: World;
  readonly postgres: OwnPostgres;
  readonly kafka: OwnKafka;
  readonly seed: number;
  say(line: string): void;
}

/** Each is killed once in random order before the next round begins. Those in the middle of things are there twice. */
const VICTIMS: readonly ServiceName[] = [
  'extractor',
  'writer',
  'capture',
  'dispatcher',
  'capture',
  'dispatcher',
  'bulk',
  'api',
];

/** Milliseconds between one break and the next of its kind: at least this, at most three times as much. */
const SERVICE_PAUSE_MS = 1_500;
const SOURCE_PAUSE_MS = 12_000;
const BROKER_PAUSE_MS = 16_000;
/** How long a server stays away at most, beside what its start takes. */
const MAX_SERVER_AWAY_MS = 3_000;

/**
 * Breaks services, the source and the broker, each at its own pace, until the signal aborts. Both servers are up
 * again when it resolves.
 *
 * @returns how often each was broken
 */
export async function breakThings(
  { world, postgres, kafka, seed, say }: Breakables,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const breaks: Record<string, number> = {};
  const count = (what: string) => {
    breaks[what] = (breaks[what] ?? 0) + 1;
    say(`killed ${what}`);
  };
  const repeat = async (
    pauseMs: number,
    seedOfKind: number,
    act: (random: () => number) => Promise<void>,
  ) => {
    const random = seededRandom(seed * 1_000 + seedOfKind);
    while (!signal.aborted) {
      await delay(pauseMs * (1 + random() * 2), undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await act(random);
    }
  };
  let round: ServiceName[] = [];
  await Promise.all([
    repeat(SERVICE_PAUSE_MS, 1, async (random) => {
      if (round.length === 0) round = [...VICTIMS];
      const [name = 'capture'] = round.splice(Math.floor(random() * round.length), 1);
      const copies = world.services.pids(name).length;
      world.services.kill(name, Math.floor(random() * copies), 'SIGKILL');
      count(name);
    }),
    repeat(SOURCE_PAUSE_MS, 2, async (random) => {
      await postgres.crash();
      count('source');
      await delay(random() * MAX_SERVER_AWAY_MS);
      await postgres.start();
    }),
    repeat(BROKER_PAUSE_MS, 3, async (random) => {
      await kafka.kill();
      count('broker');
      await delay(random() * MAX_SERVER_AWAY_MS);
      await kafka.start();
    }),
  ]);
  return breaks;
}
