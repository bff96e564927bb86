import { setTimeout as delay } from 'node:timers/promises';
import type { World } from '../../deploy/demo/world.ts';
import type { ServiceName } from '../../deploy/local/supervise.ts';

/** As deploy/README.md has it: what understands something new comes before what asks for it. */
export const UPGRADE_ORDER: readonly ServiceName[] = [
  'extractor',
  'writer',
  'dispatcher',
  'capture',
  'bulk',
  'api',
];

export interface Replacement {
  readonly world: World;
  readonly order: readonly ServiceName[];
  /** From now on a process of the service that starts is of the other version. */
  switchTo(name: ServiceName): void;
  /** Resolves once the system has worked for a while as it is, with both versions. */
  untilWorked(): Promise<void>;
  say(line: string): void;
}

const POLL_MS = 100;
const READY_LIMIT_MS = 240_000;

/** Ends process by process with SIGTERM, as a rolling update does, and waits until the next one is ready. @returns how many */
export async function replaceServices({
  world,
  order,
  switchTo,
  untilWorked,
  say,
}: Replacement): Promise<number> {
  const { services } = world;
  let count = 0;
  for (const name of order) {
    switchTo(name);
    for (const [index, old] of services.pids(name).entries()) {
      services.kill(name, index, 'SIGTERM');
      const deadlineAtMs = Date.now() + READY_LIMIT_MS;
      while ([undefined, old].includes(services.pids(name)[index])) {
        if (Date.now() > deadlineAtMs) throw new Error(`${name} ${index} has not ended`);
        await delay(POLL_MS);
      }
      await services.untilReady({ limitMs: READY_LIMIT_MS });
      count += 1;
      say(`replaced ${name} ${index}`);
      await untilWorked();
    }
  }
  return count;
}
