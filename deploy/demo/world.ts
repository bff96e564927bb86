import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { prepareSource } from '../cli/prepare-source.ts';
import { createScratchDatabase } from '../local/scratch-database.ts';
import { type ServiceName, type Services, type ServicesOptions, startServices } from '../local/supervise.ts';
import { DOCUMINT } from '../samples/products.ts';
import type { GeneratedSample, SampleProduct } from '../samples/sample-plan.ts';
import { type ApiClient, createApiClient } from './api-client.ts';

export interface WorldOptions {
  /** A server where databases and slots may be created, a broker and a registry. */
  stack: { databaseUrl: string; kafkaBrokers: string; schemaRegistryUrl: string };
  /** A server of its own for the control store, where it is not to share the source's. */
  controlServerUrl?: string;
  /** A database of that server to begin the control store with, which a service would migrate otherwise. */
  controlTemplate?: string;
  /** Directory for files and logs. */
  directory: string;
  /** By default DocuMint. */
  product?: SampleProduct;
  /** Records of the main resource to generate. */
  rows: number;
  accounts: number;
  mainAccountShare?: number;
  seed?: number;
  /** How many processes of each service run. */
  services: Readonly<Partial<Record<ServiceName, number>>>;
  log: Log;
  /** Called for each resource that the source can't have; without it, such a one is an error. */
  onRefused?: (line: string) => void;
  /** Roles of the source for single services, by their URLs; the others have that of `stack`. */
  rolesOf?: (sourceUrl: string, catalog: Catalog) => Promise<Partial<Record<ServiceName, string>>>;
  env?: Readonly<Record<string, string>>;
  /** Programs of another version. */
  mainOf?: ServicesOptions['mainOf'];
  /** Puts something before the API, such as a load balancer. @returns the URL at which customers reach it then */
  frontOf?: (apiUrl: string) => Promise<string>;
}

/** A customer of the product: an account of Tandem's with a key. */
export interface Customer {
  id: string;
  sourceId: string;
  key: string;
  client: ApiClient;
}

/** A product with Tandem beside it, all its own: databases, topics, slot, services. Nothing of it is left after disposal. */
export interface World extends AsyncDisposable {
  readonly catalog: Catalog;
  readonly sourceUrl: string;
  readonly controlUrl: string;
  readonly apiUrl: string;
  readonly operator: ApiClient;
  readonly prefix: string;
  readonly generated: GeneratedSample;
  readonly services: Services;
  /** What the services run with, for starting further processes of one. */
  readonly env: Readonly<Record<string, string>>;
  createCustomer(sourceId: string): Promise<Customer>;
}

export async function openWorld(options: WorldOptions): Promise<World> {
  await using cleanup = new AsyncDisposableStack();
  const controlServerUrl = options.controlServerUrl ?? options.stack.databaseUrl;
  const prefix = `w_${randomBytes(4).toString('hex')}`;
  const source = cleanup.use(await createScratchDatabase(options.stack.databaseUrl, 'product'));
  const control = cleanup.use(
    await createScratchDatabase(controlServerUrl, 'tandem', { template: options.controlTemplate }),
  );
  const directory = join(options.directory, prefix);
  await mkdir(directory, { recursive: true });
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const product = options.product ?? DOCUMINT;
  const { catalog, generated } = await prepareProduct(source.url, product, prefix, options);
  const env = {
    DATABASE_URL: source.url,
    CONTROL_DATABASE_URL: control.url,
    KAFKA_BROKERS: options.stack.kafkaBrokers,
    SCHEMA_REGISTRY_URL: options.stack.schemaRegistryUrl,
    STORAGE_URL: pathToFileURL(join(directory, 'storage')).href,
    CATALOG: product.catalog,
    TOPIC_PREFIX: prefix,
    SLOT_NAME: prefix,
    PUBLICATION_NAME: prefix,
    ADMIN_KEY: randomBytes(24).toString('base64url'),
    SECRET_KEY: randomBytes(32).toString('base64url'),
    DELIVERY_ALLOW_NETWORKS: '127.0.0.0/8',
    DELIVERY_ALLOW_HTTP: 'true',
    // One customer's key asks as fast as the API responds: demo, checks and benchmarks wait for conditions.
    API_REQUESTS_PER_MINUTE: '0',
    ...options.env,
  };
  const roles = (await options.rolesOf?.(source.url, catalog)) ?? {};
  const envOf = (name: ServiceName) => (roles[name] === undefined ? {} : { DATABASE_URL: roles[name] });
  const services = cleanup.use(
    await startServices({
      env,
      envOf,
      services: options.services,
      log: options.log,
      home: directory,
      ...(options.mainOf === undefined ? {} : { mainOf: options.mainOf }),
    }),
  );
  await services.untilReady();
  const apiUrl = (await options.frontOf?.(services.url('api'))) ?? services.url('api');
  const operator = createApiClient(apiUrl, env.ADMIN_KEY);
  const resources = cleanup.move();
  return {
    catalog,
    sourceUrl: source.url,
    controlUrl: control.url,
    apiUrl,
    operator,
    prefix,
    generated,
    services,
    env,
    async createCustomer(sourceId) {
      const { id } = await operator.call<{ id: string }>('POST', '/admin/accounts', {
        name: `Customer ${sourceId}`,
        source_id: sourceId,
      });
      const { key } = await operator.call<{ key: string }>('POST', `/admin/accounts/${id}/keys`, {});
      return { id, sourceId, key, client: createApiClient(apiUrl, key) };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const SLOT_LIMIT_MS = 240_000;

async function prepareProduct(
  url: string,
  product: SampleProduct,
  name: string,
  options: WorldOptions,
): Promise<{ catalog: Catalog; generated: GeneratedSample }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const generated = await product.generate(client, {
      rows: options.rows,
      accounts: options.accounts,
      seed: options.seed ?? 1,
      ...(options.mainAccountShare === undefined ? {} : { mainAccountShare: options.mainAccountShare }),
    });
    // A product may draft its catalog from the tables that it has just made.
    const catalog = await loadCatalog(product.catalog);
    const refusal = options.onRefused === undefined ? {} : { onRefused: options.onRefused };
    // Other worlds on the same server may have transactions open, which a slot waits for.
    const limits = { slotTimeoutMs: SLOT_LIMIT_MS };
    await prepareSource(client, catalog, { publication: name, slot: name }, { limits, ...refusal });
    return { catalog, generated };
  } finally {
    await client.end();
  }
}
