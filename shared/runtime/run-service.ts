import { envReader } from './env.ts';
import { SetupError } from './errors.ts';
import type { Health } from './health.ts';
import { createLog, type Log, readLogLevel } from './log.ts';
import { createMetrics } from './metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';
import { hideSecretsOf, redact } from './redact.ts';
import { causesOf } from './transient.ts';
import { runUntilFirstFailure, type Worker } from './worker.ts';

/** What a composition root gets: where to register clean-up (disposed newest first), what to log to, and the health it reports. */
export interface ServiceContext {
  readonly cleanup: AsyncDisposableStack;
  readonly log: Log;
  readonly health: Health;
}

export type Build = (context: ServiceContext) => Promise<Worker[]>;

/** Builds the service, runs its workers until the signal or the first failure, and closes newest first. */
export async function runService(build: Build, log: Log, signal: AbortSignal): Promise<void> {
  const health: Health = { live: true, ready: false, metrics: createMetrics({ withProcess: true }) };
  const counted = addProcessMetrics(health, log);
  await using cleanup = new AsyncDisposableStack();
  const workers = await build({ cleanup, log: counted, health });
  const allReady = Promise.all(workers.map((worker) => worker.ready)).then(() => {
    health.ready = true;
    log.info('service.ready');
  });
  // A worker that fails before it is ready rejects both; the failure is reported by the run below.
  allReady.catch(() => undefined);
  try {
    await runUntilFirstFailure(workers, signal);
  } finally {
    health.live = false;
    health.ready = false;
  }
}

/** How long a service may take to finish started work after SIGTERM, before the process ends anyway. */
const SHUTDOWN_LIMIT_MS = 25_000;

/**
 * The body of every `main.ts`: SIGINT and SIGTERM abort, a `SetupError` exits with 2 and says what to do,
 * any other failure exits with 1 and a full chain in the log, so that a supervisor starts it again.
 */
export async function runMain(service: string, build: Build): Promise<void> {
  hideSecretsOf(process.env);
  const read = envReader(process.env);
  const level = readLogLevel(read, 'info');
  const log = createLog(level, { service });
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      stop.abort();
      setTimeout(() => process.exit(1), SHUTDOWN_LIMIT_MS).unref();
    });
  }
  try {
    read.done(level);
    await runService(build, log, stop.signal);
    process.exit(0);
  } catch (error) {
    // Also one that a worker came to, which says by which it was.
    const setup = causesOf(error).find((link) => link instanceof SetupError);
    if (setup !== undefined) {
      process.stderr.write(redact(`tandem ${service}: ${setup.message}\n`));
      process.exit(2);
    }
    log.error('service.failed', { error });
    process.exit(1);
  }
}
