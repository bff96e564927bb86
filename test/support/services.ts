import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { nodeFlagsOf, type ServiceName } from '../../deploy/local/supervise.ts';
import type { Env } from '../../shared/runtime/env.ts';
import { createLog, type Log, silentLog } from '../../shared/runtime/log.ts';
import { type Build, runService } from '../../shared/runtime/run-service.ts';
import { waitFor } from './wait-for.ts';

/** `TEST_LOG=1` shows what services log. */
const IS_SHOWN = process.env.TEST_LOG !== undefined;

const LOG = IS_SHOWN ? createLog('debug', {}, (line) => console.error(line)) : silentLog;

/** A service that runs in the test's process. */
export interface RunningService extends AsyncDisposable {
  /** Settles when it ends: rejects with its failure, resolves after `stop`. */
  readonly ended: Promise<void>;
  /** As on SIGTERM: resolves when it has ended. */
  stop(): Promise<void>;
}

/** Runs a service in this process, and resolves once it is ready. @throws its failure, when it never is */
export async function startService(build: Build, log: Log = LOG): Promise<RunningService> {
  const controller = new AbortController();
  const ready = Promise.withResolvers<void>();
  const ended = runService(
    async (context) => {
      const workers = await build(context);
      Promise.all(workers.map((worker) => worker.ready)).then(
        () => ready.resolve(),
        () => undefined,
      );
      return workers;
    },
    log,
    controller.signal,
  );
  ended.catch(() => undefined);
  await Promise.race([ready.promise, ended]);
  const stop = async () => {
    controller.abort();
    await ended;
  };
  return { ended, stop, [Symbol.asyncDispose]: stop };
}

/** Services of a test are waited for: on a busy machine they yield to nobody. */
export const TEST_SETTINGS = { BACKGROUND_NICE: '0' };

export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string; readonly time: string };

/** A service as a process of its own. Disposal kills it. */
export interface ServiceProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it has logged so far. */
  readonly log: readonly LogLine[];
  /** All that it has printed so far. */
  readonly output: string;
  hasLogged(event: string): boolean;
  /** @throws with what it has printed, when it ends instead */
  untilReady(): Promise<void>;
  /** By SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
}

/** Starts a service as a process of its own, as it runs in production. */
export function spawnService(
  name: ServiceName,
  env: Env,
  nodeOptions: readonly string[] = [],
): ServiceProcess {
  const main = fileURLToPath(new URL(`../../services/${name}/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [...nodeFlagsOf(name), ...nodeOptions, main], {
    env: { PATH: process.env.PATH, LOG_LEVEL: IS_SHOWN ? 'debug' : 'info', ...TEST_SETTINGS, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines: string[] = [];
  const log: LogLine[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (IS_SHOWN) console.error(line);
    lines.push(line);
    // Node's own warnings come the same way.
    if (line.startsWith('{')) log.push(JSON.parse(line) as LogLine);
  });
  const hasLogged = (event: string) => log.some((line) => line.event === event);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    child,
    log,
    get output() {
      return lines.join('\n');
    },
    hasLogged,
    untilReady: async () => {
      await waitFor(`${name} to be ready`, () => {
        if (child.exitCode !== null) throw new Error(`${name} ended: ${lines.join('\n')}`);
        return hasLogged('service.ready');
      });
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
