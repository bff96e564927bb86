import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type pg from 'pg';
import { loadCatalog } from '../catalog/load-catalog.ts';
import { prepareControlStore } from '../control/migrate.ts';
import type { Catalog } from '../domain/catalog.ts';
import { createKafka } from '../kafka/client.ts';
import type { KafkaClient } from '../kafka/kafka-client.ts';
import { createMessageCodec, type MessageCodec } from '../kafka/messages.ts';
import { createRegistry, type Registry } from '../kafka/registry.ts';
import { watchRegistry } from '../kafka/watch-registry.ts';
import { createControlPool, type PoolOptions } from '../postgres/pool.ts';
import { watchPool } from '../postgres/pool-metrics.ts';
import { type Subjects, subjectsOf } from '../protocol/names.ts';
import { type Health, openHealthServer } from '../runtime/health.ts';
import { PROCESS_METRICS } from '../runtime/process-metrics.ts';
import type { ServiceContext } from '../runtime/run-service.ts';
import { startTracing } from '../runtime/start-tracing.ts';
import { announceProcess } from './announce-process.ts';
import { type BaseConfig, type BaseName, describeConfig } from './base-config.ts';

// Each part that services share is opened here, under the service's name.

export type ServiceName = 'api' | 'bulk' | 'capture' | 'dispatcher' | 'extractor' | 'writer';

/**
 * The beginning of every service: says in the log what it runs with, starts tracing, and reads the catalog.
 *
 * @param ownNames settings of the service alone that the log shows
 * @throws SetupError when the catalog can't be read or is wrong
 */
export async function beginService<Config extends BaseConfig<'catalogPath' | 'tracing'>>(
  { cleanup, log, health }: ServiceContext,
  config: Config,
  service: ServiceName,
  ownNames: readonly Exclude<keyof Config & string, BaseName>[],
): Promise<Catalog> {
  log.info('service.configured', describeConfig(config, ownNames));
  // First, so that it ends last: what ends before it is traced.
  cleanup.use(await startTracing(config.tracing, service, log));
  const catalog = await loadCatalog(config.catalogPath);
  health.metrics.gauge(PROCESS_METRICS.resources, () => [{ value: catalog.resources.length }]);
  return catalog;
}

/** A pool on the control store, closed with the service. `purpose` distinguishes it from the service's other pools. */
export function openControlPool(
  { cleanup, log, health }: Pick<ServiceContext, 'cleanup' | 'log' | 'health'>,
  { controlUrl }: BaseConfig<'controlUrl'>,
  service: ServiceName,
  {
    purpose,
    ...options
  }: Omit<PoolOptions, 'applicationName'> & { readonly purpose?: 'reserved' | 'lease' } = {},
): pg.Pool {
  const applicationName = purpose === undefined ? applicationOf(service) : applicationOf(service, purpose);
  const pool = createControlPool(controlUrl, log, { ...options, applicationName });
  watchPool(health.metrics, purpose === undefined ? 'control' : `control_${purpose}`, pool);
  return cleanup.adopt(pool, (each) => each.end());
}

/**
 * The pool that a service works with, on a control store that is up to date. From then on the process is listed there.
 *
 * @throws SetupError as `prepareControlStore` does
 */
export async function openControlStore(
  context: ServiceContext,
  config: BaseConfig<'controlUrl' | 'controlMigrations'>,
  service: ServiceName,
  options: Omit<PoolOptions, 'applicationName'> = {},
): Promise<pg.Pool> {
  const pool = openControlPool(context, config, service, options);
  await prepareControlStore(pool, config.controlMigrations, context.log);
  const { health, log } = context;
  context.cleanup.use(announceProcess({ id: leaseOwner(), service }, { db: pool, health, log }));
  return pool;
}

/** What a session of the service is called in `pg_stat_activity`. */
export function applicationOf(service: ServiceName, purpose?: string): string {
  return purpose === undefined ? `tandem ${service}` : `tandem ${service} ${purpose}`;
}

/** A client that brokers and their logs know as `tandem-<service>`. */
export function openKafka(
  { log }: ServiceContext,
  { kafka }: BaseConfig<'kafka'>,
  service: ServiceName,
): KafkaClient {
  return createKafka(kafka, `tandem-${service}`, log);
}

export interface OpenRegistry {
  readonly registry: Registry;
  /** Of the messages between services. */
  readonly codec: MessageCodec;
  readonly subjects: Subjects;
}

export function openRegistry(
  {
    cleanup,
    health,
    log,
  }: Pick<ServiceContext, 'cleanup' | 'log'> & { readonly health: Pick<Health, 'metrics'> },
  { schemaRegistryUrl, topicPrefix }: BaseConfig<'schemaRegistryUrl' | 'topicPrefix'>,
): OpenRegistry {
  const registry = createRegistry(schemaRegistryUrl, health.metrics);
  cleanup.use(watchRegistry(registry, log));
  const subjects = subjectsOf(topicPrefix);
  return { registry, codec: createMessageCodec(registry, subjects), subjects };
}

/** Serves probes and metrics until the service ends. */
export async function openHealth(
  { cleanup, log, health }: ServiceContext,
  { host, healthPort }: BaseConfig<'host' | 'healthPort'>,
): Promise<void> {
  const { port } = cleanup.adopt(await openHealthServer(health, healthPort, host), (server) =>
    server.close(),
  );
  log.info('service.listening', { host, port });
}

/** Names this process in leases. Never the same twice, so that a restarted process does not take its predecessor's for its own. */
export function leaseOwner(): string {
  return `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
}
