import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { backoffMs } from '../../shared/runtime/retry.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { type Child, type ChildGroup, createChildGroup } from './child-group.ts';
import { holdPort } from './ports.ts';
import { localUrl } from './service-env.ts';

export type ServiceName = 'api' | 'extractor' | 'writer' | 'capture' | 'dispatcher' | 'bulk';

export interface ServicesOptions {
  /** Logs go to `logs` in it, and the records of running processes to `run`. */
  readonly home: string;
  /** What every service gets; PORT goes to the first api only, HEALTH_PORT is set here. */
  readonly env: Env;
  /** What one service gets besides, such as a role of its own. */
  readonly envOf?: (name: ServiceName) => Env;
  /** How many of each to run. */
  readonly services: Readonly<Partial<Record<ServiceName, number>>>;
  readonly log: Log;
  /** The program of a service, asked at each start of a process; by default its `main.ts`. */
  readonly mainOf?: (name: ServiceName) => string;
}

export interface ReadyOptions {
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
}

export interface Services extends AsyncDisposable {
  /** The PIDs of the instances that run now, by index; an instance that waits for its restart has none. */
  pids(name: ServiceName): readonly (number | undefined)[];
  /** Where the first api answers. */
  readonly apiUrl: string;
  /** Where an instance answers HTTP: the api its clients, the others their probes. */
  url(name: ServiceName, index?: number): string;
  /** Ends an instance, which is then started again as after any crash. Does nothing while it waits for a restart. */
  kill(name: ServiceName, index: number, signal: NodeJS.Signals): void;
  /**
   * Resolves once every `/readyz` answers 200; rejects with the signal's reason when that aborts first.
   * @throws SetupError when one is not ready in time, or can't run with its settings
   */
  untilReady(options?: ReadyOptions): Promise<void>;
  /** Resolves when a service can't run because of its set-up (exit code 2); never rejects. */
  readonly failed: Promise<SetupError>;
  /** Stops all, their work in hand finished. Safe to call twice. */
  stop(): Promise<void>;
}

/** A service ends with this code when trying again can't help. */
const SETUP_EXIT_CODE = 2;

/** 200 ms, 400 ms, … 10 s between a crash and the next start. */
const RESTART = { initialMs: 200, maxMs: 10_000 };

/** One that crashes this often without ever having been ready will not get there: about 20 s of tries. */
const MAX_START_CRASHES = 7;

/** After this long without a crash, the next one counts as the first again. */
const STABLE_AFTER_MS = 60_000;

/** A service gives its work in hand 25 s; this is a little more. */
export const STOP_GRACE_MS = 27_000;

/**
 * As `npm run start:<service>` has them too. Buffers of rows are garbage after milliseconds, and freed when the space for young
 * objects is full: a small one takes a fifth less memory, and is no slower.
 */
export const NODE_FLAGS = [
  '-r',
  fileURLToPath(new URL('../cli/compile-cache.cjs', import.meta.url)),
  '--max-semi-space-size=4',
  '--disable-warning=TimeoutNegativeWarning',
];

/**
 * Events live until their requests have a response. With a small space they outlive it and are copied again and again: 15 to 25 %
 * of the dispatcher's time under load, and 6 to 9 % with this one, at the same peak of memory. Capture's changes live until their
 * Kafka transaction is committed.
 */
const FLAGS_OF: Readonly<Partial<Record<ServiceName, readonly string[]>>> = {
  capture: ['--max-semi-space-size=16'],
  dispatcher: ['--max-semi-space-size=16'],
};

/** How Node runs a service, where a later flag takes the place of an earlier one. */
export function nodeFlagsOf(name: ServiceName): readonly string[] {
  return [...NODE_FLAGS, ...(FLAGS_OF[name] ?? [])];
}

const READY_LIMIT_MS = 120_000;
const READY_POLL_MS = 100;
const PROBE_TIMEOUT_MS = 2_000;

const PREFERRED_PORTS: Record<ServiceName, number> = {
  api: 8_080,
  extractor: 8_081,
  writer: 8_082,
  capture: 8_083,
  dispatcher: 8_084,
  bulk: 8_085,
};

const EXCERPT_LINE_COUNT = 10;

/** The end of a log that is read to show why a service would not start. */
const MAX_EXCERPT_BYTES = 16 * 1024;

function defaultMain(name: ServiceName): string {
  return fileURLToPath(new URL(`../../services/${name}/main.ts`, import.meta.url));
}

/** Starts the services as child processes, and starts each again whenever it crashes. Does not wait until they are ready. */
export async function startServices(options: ServicesOptions): Promise<Services> {
  await using cleanup = new AsyncDisposableStack();
  const group = cleanup.use(createChildGroup(join(options.home, 'run')));
  const { promise: failed, resolve: reportFailure } = Promise.withResolvers<SetupError>();
  const instances: Instance[] = [];
  for (const [name, count] of Object.entries(options.services) as [ServiceName, number][]) {
    for (let index = 0; index < count; index += 1) {
      const port = await instancePort(options.env, name, index, cleanup);
      instances.push(createInstance({ options, group, name, index, port, reportFailure }));
    }
  }
  const stopping = new AbortController();
  const runs = instances.map((instance) => instance.run(stopping.signal));
  cleanup.defer(async () => {
    stopping.abort();
    await Promise.all(instances.map((instance) => instance.child?.stop(STOP_GRACE_MS)));
    await Promise.all(runs);
  });
  const find = (name: ServiceName, index: number) =>
    instances.find((instance) => instance.name === name && instance.index === index);
  const url = (name: ServiceName, index = 0) => {
    const instance = find(name, index);
    if (instance === undefined) throw new Error(`no ${name} ${index} was started`);
    return instance.url;
  };
  const owned = cleanup.move();
  const stop = () => owned.disposeAsync();
  return {
    failed,
    stop,
    [Symbol.asyncDispose]: stop,
    get apiUrl() {
      return url('api');
    },
    url,
    untilReady: (ready = {}) => untilReady(instances, failed, ready),
    pids: (name) => instances.filter((one) => one.name === name).map((one) => one.child?.pid),
    kill: (name, index, signal) => find(name, index)?.child?.kill(signal),
  };
}

/** The first api takes the port that was asked for; every other instance a free one, which nobody gets while it is started again. */
async function instancePort(
  env: Env,
  name: ServiceName,
  index: number,
  held: AsyncDisposableStack,
): Promise<number> {
  if (name === 'api' && index === 0 && env.PORT) return Number(env.PORT);
  return held.use(await holdPort(PREFERRED_PORTS[name] + index * 10)).port;
}

async function untilReady(
  instances: readonly Instance[],
  failed: Promise<SetupError>,
  { signal, limitMs = READY_LIMIT_MS }: ReadyOptions,
): Promise<void> {
  const giveUp = new AbortController();
  const failure = failed.then((error) => {
    throw error;
  });
  const any = signal === undefined ? giveUp.signal : AbortSignal.any([signal, giveUp.signal]);
  const deadlineAtMs = Date.now() + limitMs;
  try {
    await Promise.race([failure, Promise.all(instances.map((one) => one.untilReady(deadlineAtMs, any)))]);
    signal?.throwIfAborted();
  } finally {
    giveUp.abort();
    failure.catch(() => undefined);
  }
}

interface Instance {
  readonly name: ServiceName;
  readonly index: number;
  readonly url: string;
  child: Child | undefined;
  /** Settles when the signal has aborted and the process has ended, or when it must not be started again. */
  run(signal: AbortSignal): Promise<void>;
  /** Returns early, and says nothing, when the signal aborts. */
  untilReady(deadlineAtMs: number, signal: AbortSignal): Promise<void>;
}

interface InstanceOptions {
  readonly options: ServicesOptions;
  readonly group: ChildGroup;
  readonly name: ServiceName;
  readonly index: number;
  readonly port: number;
  readonly reportFailure: (error: SetupError) => void;
}

function createInstance({ options, group, name, index, port, reportFailure }: InstanceOptions): Instance {
  const log = options.log.child({ service: name, index });
  const logPath = join(options.home, 'logs', `${name}-${index}.log`);
  const host = options.env.HOST || '127.0.0.1';
  const url = localUrl(host, port);
  let wasReady = false;
  const instance: Instance = {
    name,
    index,
    url,
    child: undefined,
    async run(signal) {
      let crashCount = 0;
      while (!signal.aborted) {
        const startedAtMs = Date.now();
        const logOffset = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
        instance.child = group.spawn({
          name: `${name}-${index}`,
          command: process.execPath,
          args: [...nodeFlagsOf(name), (options.mainOf ?? defaultMain)(name)],
          env: {
            ...options.env,
            ...options.envOf?.(name),
            HOST: host,
            ...(name === 'api' ? { PORT: `${port}` } : { HEALTH_PORT: `${port}` }),
          },
          cwd: process.cwd(),
          logPath,
        });
        const exit = await instance.child.exited;
        instance.child = undefined;
        if (signal.aborted) return;
        if (exit.code === SETUP_EXIT_CODE) {
          reportFailure(setupFailure(name, logPath, logOffset));
          return;
        }
        const uptimeMs = Date.now() - startedAtMs;
        crashCount = uptimeMs > STABLE_AFTER_MS ? 1 : crashCount + 1;
        const delayMs = backoffMs(crashCount - 1, RESTART);
        if (!wasReady && crashCount >= MAX_START_CRASHES) {
          reportFailure(crashFailure(`${name} crashed ${crashCount} times without getting ready`, logPath));
          return;
        }
        log.warn('service.crashed', { ...exit, uptimeMs, restartInMs: delayMs, logPath });
        await sleep(delayMs, signal);
      }
    },
    async untilReady(deadlineAtMs, signal) {
      while (!signal.aborted) {
        const answer = await probe(`${url}/readyz`);
        if (answer === 'ok') {
          wasReady = true;
          return;
        }
        if (Date.now() > deadlineAtMs) {
          throw crashFailure(`${name} is not ready (${answer})`, logPath);
        }
        await sleep(READY_POLL_MS, signal);
      }
    },
  };
  return instance;
}

async function probe(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.ok ? 'ok' : `status ${response.status}`;
  } catch {
    return 'no response';
  }
}

function crashFailure(what: string, logPath: string): SetupError {
  const tail = readExcerpt(logPath, 0).split('\n').slice(-EXCERPT_LINE_COUNT).join('\n');
  return new SetupError(`${what}; the end of its log ${logPath}:`, [tail]);
}

/** What the service wrote for the operator since it was started: the lines that are not log lines. */
function setupFailure(name: ServiceName, logPath: string, offset: number): SetupError {
  const lines = readExcerpt(logPath, offset)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'));
  return new SetupError(lines.join('\n') || `${name} can't run with these settings; its log is ${logPath}`);
}

function readExcerpt(path: string, offset: number): string {
  if (!existsSync(path)) return '';
  const size = statSync(path).size;
  const from = Math.max(offset > size ? 0 : offset, size - MAX_EXCERPT_BYTES);
  const buffer = Buffer.alloc(size - from);
  const descriptor = openSync(path, 'r');
  try {
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, from)).trimEnd();
  } finally {
    closeSync(descriptor);
  }
}
