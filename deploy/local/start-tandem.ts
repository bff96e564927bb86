import { join } from 'node:path';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { productOfCatalog } from '../samples/products.ts';
import { keptSecret } from './kept-secret.ts';
import { choosePort, requirePort } from './ports.ts';
import { prepareDatabases } from './prepare-databases.ts';
import { announceTandem } from './running-tandem.ts';
import { serviceEnv } from './service-env.ts';
import { type LocalStack, stackVariables, startStack } from './stack.ts';
import { type Services, type ServicesOptions, startServices } from './supervise.ts';

export interface TandemOptions {
  readonly home: string;
  readonly env: Env;
  readonly log: Log;
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal;
  /** How many of each service; by default one of each. */
  readonly services?: ServicesOptions['services'];
  /** Records of the sample data's main resource, which is made only in a source of our own with a sample catalog. */
  readonly sampleRows?: number;
}

export interface Tandem extends AsyncDisposable {
  readonly stack: LocalStack;
  readonly services: Services;
  readonly apiUrl: string;
  readonly adminKey: string;
  /** Whether the source is our own, with the sample data in it. */
  readonly hasSample: boolean;
  /** Resolves with what to tell the operator when a part or a service has stopped for good; never rejects. */
  readonly failed: Promise<SetupError>;
  /** Stops the services, then the stack. Safe to call twice. */
  stop(): Promise<void>;
}

const PREFERRED_API_PORT = 8_080;

const ONE_OF_EACH: ServicesOptions['services'] = {
  api: 1,
  extractor: 1,
  writer: 1,
  capture: 1,
  dispatcher: 1,
  bulk: 1,
};

const DEFAULT_SAMPLE_ROWS = 10_000;

const MAX_PORT = 65_535;

/**
 * Everything on this machine: the stack, its databases prepared, and the services on top, all ready when this returns.
 * What was started is stopped again when it can't all be had.
 *
 * @throws SetupError naming what the operator has to put right
 */
export async function startTandem(options: TandemOptions): Promise<Tandem> {
  const { home, env, log, say, signal } = options;
  await using cleanup = new AsyncDisposableStack();
  // Checked first, because it is the quickest to fail.
  const port = await apiPort(env);
  const settingsOf = (parts: Env) =>
    serviceEnv({
      env,
      stack: parts,
      port,
      adminKey: keptSecret(join(home, 'admin-key'), 'tk_admin_'),
      secretKey: keptSecret(join(home, 'secret-key')),
    });
  const sampleOf = (catalog: string) => {
    const product = env.DATABASE_URL?.trim() ? undefined : productOfCatalog(catalog);
    return product && { product, rows: options.sampleRows ?? DEFAULT_SAMPLE_ROWS };
  };
  const stack = cleanup.use(
    await startStack({
      home,
      env,
      log,
      say,
      makesClassArchives: true,
      async onDatabases(urls) {
        const { CATALOG: catalog, PUBLICATION_NAME: publication, SLOT_NAME: slot } = settingsOf({});
        await prepareDatabases({ ...urls, catalog, publication, slot, sample: sampleOf(catalog), say });
      },
      ...(signal === undefined ? {} : { signal }),
    }),
  );
  const settings = settingsOf(stackVariables(stack));
  signal?.throwIfAborted();
  const broken = new AbortController();
  stackFailure(stack).then((error) => broken.abort(error));
  const services = cleanup.use(
    await startServices({
      home,
      env: settings,
      services: options.services ?? ONE_OF_EACH,
      log,
    }),
  );
  await services.untilReady({
    signal: signal === undefined ? broken.signal : AbortSignal.any([signal, broken.signal]),
  });
  const failed = Promise.race([services.failed, stackFailure(stack)]);
  const apiUrl = services.apiUrl;
  const { ADMIN_KEY: adminKey, CATALOG, TOPIC_PREFIX, SLOT_NAME, PUBLICATION_NAME } = settings;
  const names = { CATALOG, TOPIC_PREFIX, SLOT_NAME, PUBLICATION_NAME };
  cleanup.use(announceTandem(home, { apiUrl, adminKey, parts: { ...stackVariables(stack), ...names } }));
  const owned = cleanup.move();
  const stop = () => owned.disposeAsync();
  return {
    stack,
    services,
    apiUrl,
    adminKey: settings.ADMIN_KEY,
    hasSample: sampleOf(settings.CATALOG) !== undefined,
    failed,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function apiPort(env: Env): Promise<number> {
  const host = env.HOST?.trim() || '127.0.0.1';
  const given = env.PORT?.trim();
  if (!given) return choosePort(PREFERRED_API_PORT, host);
  const port = Number(given);
  if (!Number.isInteger(port) || port < 1 || port > MAX_PORT) {
    throw new SetupError(`PORT must be a whole number from 1 to ${MAX_PORT}, not "${given}"`);
  }
  return requirePort(port, host, 'PORT');
}

async function stackFailure(stack: LocalStack): Promise<SetupError> {
  const { part, exit, logPath } = await stack.failed;
  return new SetupError(`${part} has ended (${exit.signal ?? `code ${exit.code}`}); its log is ${logPath}`);
}
