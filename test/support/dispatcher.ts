import { fileURLToPath } from 'node:url';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import type { Pool } from 'pg';
import type { ChangeChain } from '../../services/capture/publish/publisher.ts';
import { buildDispatcher } from '../../services/dispatcher/build.ts';
import { readDispatcherConfig } from '../../services/dispatcher/config.ts';
import { ensurePartitions } from '../../services/dispatcher/record/event-partitions.ts';
import { accountPartition } from '../../shared/domain/account-partition.ts';
import type { Change } from '../../shared/domain/change.ts';
import { newId } from '../../shared/domain/ids.ts';
import { formatLsn } from '../../shared/domain/lsn.ts';
import { eventId } from '../../shared/domain/position.ts';
import type { RowType, ValueType } from '../../shared/domain/row-type.ts';
import { createRegistry } from '../../shared/kafka/registry.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { recorderGroup } from '../../shared/protocol/names.ts';
import type { Env } from '../../shared/runtime/env.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import { createChangeCodec } from '../../shared/values/change-codec.ts';
import { removeMembers } from './group-members.ts';
import { guardTransitions } from './guard-transitions.ts';
import { CLIENT_ENV } from './kafka-client.ts';
import { type RunningService, type ServiceProcess, spawnService, startService } from './services.ts';
import { createControlDatabase, testStack, topicPrefix } from './stack.ts';
import { waitFor } from './wait-for.ts';

const SECRET_KEY = 'a key that only tests use, of some length';
export const WEBHOOK_SECRET = `whsec_${Buffer.from('a signing key of a test endpoint').toString('base64')}`;

const text: ValueType = { kind: 'string', pgName: 'text' };
const INVOICES: RowType = {
  resource: 'invoices',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'account_id', type: text, isKey: false },
    { name: 'memo', type: text, isKey: false },
    { name: 'deleted_at', type: text, isKey: false },
  ],
};

export interface EndpointOptions {
  readonly url: string;
  readonly accountId: string;
  readonly events?: readonly string[];
  readonly maxInFlight?: number;
  readonly rateLimit?: number;
  readonly batch?: { readonly max_events: number; readonly max_wait_ms: number };
  readonly handOff?: { readonly snapshot: string; readonly untilLsn: string };
}

export interface EventOptions {
  readonly accountId: string;
  readonly lsn: number;
  readonly record?: number;
  readonly type?: string;
  readonly xid?: number;
}

/** A control store, topics and dispatchers of a test's own, filled by SQL and with the real codecs. */
export interface DispatcherBed extends AsyncDisposable {
  readonly pool: Pool;
  readonly env: Env;
  readonly prefix: string;
  /** Runs a dispatcher in this process; whoever started it stops it. */
  start(settings?: Env): Promise<RunningService>;
  /** Starts a dispatcher as a process of its own, and waits until it is ready. */
  spawn(settings?: Env): Promise<ServiceProcess>;
  /** Lets what killed dispatchers held be claimed at once: the last seconds of a lease or a session teach nothing. */
  endLeases(): Promise<void>;
  addAccount(sourceId: string): Promise<string>;
  addEndpoint(options: EndpointOptions): Promise<string>;
  /** Puts events into the log as the recorder would, all of them in one transaction. */
  addEvents(events: readonly EventOptions[]): Promise<void>;
  /** Publishes changes to the changes topic as capture would; counted, where there is a chain. */
  publish(changes: readonly Change[], chain?: ChangeChain): Promise<void>;
  endpoint(id: string): Promise<Record<string, unknown>>;
}

export function invoiceChange(part: Partial<Change> & { account: string; lsn: number; id?: number }): Change {
  const { lsn, id = 1, ...rest } = part;
  return {
    op: 'insert',
    resource: 'invoices',
    before: null,
    after: [String(id), part.account, `memo ${lsn}`, null],
    unchanged: [],
    missing: [],
    source: {
      lsn: BigInt(lsn),
      commitLsn: BigInt(lsn),
      xid: BigInt(lsn),
      index: 0,
      committedAtMicros: BigInt(Date.now()) * 1_000n,
      bulkJobId: null,
    },
    ...rest,
  };
}

export async function openDispatcherBed(settings: Env = {}): Promise<DispatcherBed> {
  const cleanup = new AsyncDisposableStack();
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const database = cleanup.use(await createControlDatabase('dispatcher'));
  const prefix = topicPrefix();
  const env: Env = {
    CONTROL_DATABASE_URL: database.url,
    ...CLIENT_ENV,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
    CATALOG: fileURLToPath(new URL('../../schemas/catalogs/documint.yaml', import.meta.url)),
    TOPIC_PREFIX: prefix,
    SECRET_KEY,
    DELIVERY_ALLOW_NETWORKS: '127.0.0.0/8',
    DELIVERY_ALLOW_HTTP: 'true',
    ...settings,
  };
  const pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
  cleanup.defer(() => pool.end());
  await guardTransitions(pool);
  await ensurePartitions(pool, [new Date().toISOString().slice(0, 10)]);
  const box = createSecretBox(SECRET_KEY, WEBHOOK_SECRETS);

  const kafka = new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  cleanup.defer(async () => {
    await admin.connect();
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(`${prefix}.`));
    if (topics.length > 0) await admin.deleteTopics({ topics });
    await admin.disconnect();
  });
  let producer: Producer | undefined;
  const registry = createRegistry(schemaRegistryUrl);
  const codec = createChangeCodec(INVOICES, { namespace: prefix });

  return {
    pool,
    env,
    prefix,
    start(settings = {}) {
      const config = readDispatcherConfig({ ...env, ...settings });
      return startService((context) => buildDispatcher(config, context));
    },
    async spawn(settings = {}) {
      const dispatcher = cleanup.use(spawnService('dispatcher', { ...env, ...settings }));
      await dispatcher.untilReady();
      return dispatcher;
    },
    async endLeases() {
      await pool.query('update dispatchers set expires_at = now()');
      await removeMembers(kafkaBrokers, recorderGroup(prefix));
    },
    async addAccount(sourceId) {
      const id = newId('acct');
      await pool.query('insert into accounts (id, name, source_id) values ($1, $2, $2)', [id, sourceId]);
      return id;
    },
    async addEndpoint({ url, accountId, events = ['*'], maxInFlight = 20, rateLimit, batch, handOff }) {
      const id = newId('whk');
      const secrets = [{ ciphertext: box.seal(WEBHOOK_SECRET), expires_at: null }];
      await pool.query(
        `insert into webhooks (id, account_id, url, events, max_in_flight, rate_limit, status, secrets, start,
           handoff_snapshot, handoff_until_lsn, cursor_lsn, cursor_idx, batch)
         values ($1, $2, $3, $4, $5, $6, 'active', $7, '{}', $8, $9, '0/0', 0, $10)`,
        [
          id,
          accountId,
          url,
          events,
          maxInFlight,
          rateLimit ?? null,
          JSON.stringify(secrets),
          handOff?.snapshot ?? null,
          handOff?.untilLsn ?? null,
          batch ?? null,
        ],
      );
      return id;
    },
    async addEvents(events) {
      await pool.query(
        `with added as (
           insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
           select lsn, 0, account, xid, type, 'invoices', key, now(), payload
             from unnest($1::pg_lsn[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
                  as e (lsn, account, xid, type, key, payload) returning 1)
         select pg_notify('tandem_events', 'test *') from added limit 1`,
        [
          events.map(({ lsn }) => formatLsn(BigInt(lsn))),
          events.map(({ accountId }) => accountId),
          events.map(({ xid, lsn }) => xid ?? lsn),
          events.map(({ type = 'invoice.updated' }) => type),
          events.map(({ record = 1 }) => JSON.stringify([String(record)])),
          events.map(({ lsn, record = 1 }) =>
            JSON.stringify({ id: eventId({ commitLsn: BigInt(lsn), index: 0 }), n: lsn, record }),
          ),
        ],
      );
    },
    async publish(changes, chain) {
      if (producer === undefined) {
        producer = kafka.producer({ idempotent: true });
        await producer.connect();
        const connected = producer;
        cleanup.defer(() => connected.disconnect());
      }
      const id = await registry.register(`${prefix}.invoices.Change`, codec.schema);
      const { partitions } = (await admin.fetchTopicMetadata({ topics: [`${prefix}.changes`] }))
        .topics[0] ?? { partitions: [] };
      const messages = changes.flatMap((change) => {
        const value = codec.encode(change, id);
        const places =
          change.op === 'truncate'
            ? partitions.map((_, partition) => partition)
            : [accountPartition(change.account, partitions.length)];
        const { account, op, resource } = change;
        return places.map((partition) => ({ key: '', partition, value, headers: { account, op, resource } }));
      });
      await producer.send({ topic: `${prefix}.changes`, messages: chain?.link(messages) ?? messages });
    },
    async endpoint(id) {
      const { rows } = await pool.query('select * from webhooks where id = $1', [id]);
      return rows[0] ?? {};
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

/** Waits until the endpoint's cursor has reached this position. */
export async function untilCursor(bed: DispatcherBed, endpointId: string, lsn: number): Promise<void> {
  await waitFor(`the cursor to reach ${lsn}`, async () => {
    const { rows } = await bed.pool.query<{ reached: boolean }>(
      `select cursor_lsn >= $2::pg_lsn as reached from webhooks where id = $1`,
      [endpointId, formatLsn(BigInt(lsn))],
    );
    return rows[0]?.reached;
  });
}
