import { hostname } from 'node:os';
import { forgetProcess, type ProcessIdentity, reportProcess } from '../control/processes.ts';
import type { Queryable } from '../postgres/queryable.ts';
import type { Health } from '../runtime/health.ts';
import type { Log } from '../runtime/log.ts';
import { runRounds } from '../runtime/run-rounds.ts';
import { sleep } from '../runtime/sleep.ts';
import { productVersion } from '../runtime/version.ts';

/** One small statement a process in this time. */
export const REPORT_EVERY_MS = 5_000;

/** A process that ends waits no longer for its row to go: it is then forgotten like that of a process that died. */
const LEAVE_MS = 2_000;

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
  const leave = async () => {
    await rounds;
    if (!isStoreUp) return;
    await forgetProcess(db, id).catch((error: unknown) => log.warn('process.not_forgotten', { error }));
  };
  return {
    // A store that is away, or that says nothing, must not hold up the end of the process.
    async [Symbol.asyncDispose]() {
      stop.abort();
      const left = new AbortController();
      await Promise.race([leave().finally(() => left.abort()), sleep(LEAVE_MS, left.signal)]);
    },
  };
}
