import type { Log } from '../runtime/log.ts';
import { runRounds } from '../runtime/run-rounds.ts';
import type { Registry } from './registry.ts';

/** Records of this time may carry IDs that the registry no longer knows. */
const CHECK_EVERY_MS = 15_000;

/** Of a large catalog the log names no more. */
const MAX_NAMED = 10;

/**
 * Looks until it is disposed of whether the registry still has what this process writes with. Otherwise nobody here would
 * notice a registry that was emptied: a process knows its schemas, while a process that starts later can't read its records.
 */
export function watchRegistry(registry: Pick<Registry, 'restoreLost'>, log: Log): Disposable {
  const stop = new AbortController();
  const round = async () => {
    const subjects = await registry.restoreLost();
    if (subjects.length === 0) return;
    log.error('schemas.lost', {
      count: subjects.length,
      subjects: subjects.slice(0, MAX_NAMED),
      effect: 'they are registered again, and records from before cannot be read by processes that start now',
      remedy: 'see "The registry is empty" in deploy/README.md',
    });
  };
  const onFailed = (error: unknown) =>
    log.warn('attempt.failed', { what: 'asking the registry for the schemas of this process', error });
  void runRounds(round, { restMs: CHECK_EVERY_MS, onFailed }, stop.signal);
  return { [Symbol.dispose]: () => stop.abort() };
}
