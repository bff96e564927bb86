import type { World } from '../../deploy/demo/world.ts';
import type { ServiceName } from '../../deploy/local/supervise.ts';
import { sleep } from '../../shared/runtime/sleep.ts';

/** What a process has in use. Garbage is in it, so that the least of many samples says what it cannot do without. */
interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

export interface MemoryWatch {
  /** Samples the memory of every service until the signal aborts. */
  run(world: World, signal: AbortSignal): Promise<void>;
  /** One line a process: what it held early and late. */
  lines(): string[];
  /** The processes that hold more and more. */
  faults(): string[];
}

const SERVICES: readonly ServiceName[] = ['api', 'extractor', 'writer', 'capture', 'dispatcher', 'bulk'];
const SAMPLE_EVERY_MS = 2_000;

/** Caches fill at first, so growth is that from the second quarter of the time to the last. */
const EARLY = { from: 0.25, to: 0.5 };
const LATE = { from: 0.75, to: 1 };

/** What may come on top: caches that fill slowly, and code that is compiled late. */
const MAX_GROWTH = { share: 0.2, bytes: 12_000_000 };

const METRICS = /^(?:nodejs_heap_size_used_bytes|nodejs_external_memory_bytes)(?:\{[^}]*\})? (\S+)$/gm;

/** Finds services that hold ever more memory while their work stays the same. */
export function createMemoryWatch(): MemoryWatch {
  const samples = new Map<string, Sample[]>();
  const growths = () =>
    [...samples].map(([name, taken]) => ({ name, early: least(taken, EARLY), late: least(taken, LATE) }));
  return {
    async run(world, signal) {
      while (!signal.aborted) {
        for (const name of SERVICES) {
          for (const index of world.services.pids(name).keys()) {
            const bytes = await readBytes(`${world.services.url(name, index)}/metrics`, world.env.ADMIN_KEY);
            const taken = samples.get(`${name} ${index}`) ?? [];
            samples.set(`${name} ${index}`, [...taken, { atMs: Date.now(), bytes }]);
          }
        }
        await sleep(SAMPLE_EVERY_MS, signal);
      }
    },
    lines: () =>
      growths().map(({ name, early, late }) => `${name}: at least ${mb(early)} early, ${mb(late)} late`),
    faults: () =>
      growths()
        .filter(({ early, late }) => late > early * (1 + MAX_GROWTH.share) + MAX_GROWTH.bytes)
        .map(({ name, early, late }) => `${name} holds more and more memory: ${mb(early)}, then ${mb(late)}`),
  };
}

/** @throws Error when the process does not report what it uses */
async function readBytes(url: string, adminKey = ''): Promise<number> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${adminKey}` } });
  const values = [...(await response.text()).matchAll(METRICS)].map(([, value]) => Number(value));
  if (values.length !== 2) throw new Error(`${url} reports no heap and no external memory`);
  return values.reduce((sum, value) => sum + value, 0);
}

function least(samples: readonly Sample[], { from, to }: { from: number; to: number }): number {
  const startMs = samples[0]?.atMs ?? 0;
  const wholeMs = (samples.at(-1)?.atMs ?? 0) - startMs;
  const within = samples.filter(
    ({ atMs }) => atMs >= startMs + wholeMs * from && atMs <= startMs + wholeMs * to,
  );
  return Math.min(...within.map(({ bytes }) => bytes));
}

const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
