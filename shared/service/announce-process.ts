import { hostname } from 'node:os';
import { forgetProcess, type ProcessIdentity, reportProcess } from '../control/processes.ts';
import type { Queryable } from '../postgres/queryable.ts';
import type { Health } from '../runtime/health.ts';
import type { Log } from '../runtime/log.ts';
import { runRounds } from '../runtime/run-rounds.ts';
import { productVersion } from '../runtime/version.ts';

/** One small statement a process in this time. */
export const REPORT_EVERY_MS = 5_000;

export interface AnnounceDeps {
  readonly db: Queryable;
  readonly health: Pick<Health, 'ready'>;
  readonly log: Log;
  readonly everyMs?: number;
}

/**
 * Lists the process in the control store until it is disposed of, for the operator to see what runs and since when. Nothing
 * depends on it: leases decide who works.
 */
export function announceProcess(
  { id, service }: Pick<ProcessIdentity, 'id' | 'service'>,
  { db, health, log, everyMs = REPORT_EVERY_MS }: AnnounceDeps,
): AsyncDisposable {
  const identity = { id, service, version: productVersion(), host: hostname(), pid: process.pid };
  const stop = new AbortController();
  let isStoreUp = false;
  const report = async () => {
    await reportProcess(db, identity, health.ready);
    isStoreUp = true;
  };
  const onFailed = (error: unknown) => {
    isStoreUp = false;
    log.warn('process.not_reported', { error });
  };
  const rounds = runRounds(report, { restMs: everyMs, onFailed }, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await rounds;
      // A store that is away must not hold up the end of the process.
      if (!isStoreUp) return;
      await forgetProcess(db, id).catch((error: unknown) => log.warn('process.not_forgotten', { error }));
    },
  };
}
