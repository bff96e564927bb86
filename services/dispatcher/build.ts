import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { correctRestored, type StoreMark } from '../../shared/control/restored-store.ts';
import {
  claimEndpoints,
  leaveEndpoints,
  noteApplied,
  readChangedEndpoints,
  readFairShare,
  readHeldIds,
  releaseEndpoints,
  removeDispatcher,
  renewDispatcher,
} from '../../shared/control/webhooks/lease-endpoints.ts';
import { saveProgress } from '../../shared/control/webhooks/save-progress.ts';
import { claimWebhookTests, saveTestResult } from '../../shared/control/webhooks/test-deliveries.ts';
import { type Catalog, findResource } from '../../shared/domain/catalog.ts';
import { findUrlProblem } from '../../shared/domain/delivery-url.ts';
import { isJobId } from '../../shared/domain/ids.ts';
import { formatLsn } from '../../shared/domain/lsn.ts';
import { formatPosition } from '../../shared/domain/position.ts';
import { connectAdmin } from '../../shared/kafka/connect-admin.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { GROUP_SETTINGS } from '../../shared/kafka/run-consumer.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { feedMirrorGroup, recorderGroup } from '../../shared/protocol/names.ts';
import type { Log } from '../../shared/runtime/log.ts';
import type { ServiceContext } from '../../shared/runtime/run-service.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import {
  beginService,
  openControlPool,
  openControlStore,
  openHealth,
  openKafka,
  openRegistry,
} from '../../shared/service/open-parts.ts';
import type { DispatcherConfig } from './config.ts';
import { createAccountEvents } from './deliver/account-events.ts';
import { createAttemptLog } from './deliver/attempt-log.ts';
import { createEndpointLeases, type EndpointLeases } from './deliver/endpoint-leases.ts';
import { createEndpointRunner } from './deliver/endpoint-runner.ts';
import { createFailedReplays } from './deliver/failed-replays.ts';
import { createProgressSaver } from './deliver/progress-saver.ts';
import { createRequestLimiter, createStartTurns } from './deliver/request-starts.ts';
import { createWakeUps } from './deliver/wake-ups.ts';
import { createWebhookTests } from './deliver/webhook-tests.ts';
import { toEndpoint } from './endpoints/endpoint.ts';
import { createLease, RENEW_LIMIT_MS } from './endpoints/lease.ts';
import { keepTrying } from './keep-trying.ts';
import { addDispatcherMetrics, addHeldMetrics } from './metrics.ts';
import { createFeedMirror, findStoreMark } from './mirror/feed-mirror.ts';
import { createEventKeeper, ensurePartitions, keptSince } from './record/event-partitions.ts';
import { createExpiredEvents } from './record/expired-events.ts';
import { gatherInserts } from './record/gather-inserts.ts';
import { insertEvents } from './record/insert-events.ts';
import { readRecordedTo } from './record/lost-changes.ts';
import { createReadBounds } from './record/read-bounds.ts';
import { createAccountChains, createRecordBatch, type RecordDeps } from './record/record-batch.ts';
import { createRecordedChain } from './record/recorded-chain.ts';
import { createRecorder, RECORDER_GROUP_SETTINGS } from './record/recorder.ts';
import { createChangeReaders } from './record/render-event.ts';
import { createLostTailWatch } from './record/watch-lost-tail.ts';
import { createConnectionCheck } from './send/connection-check.ts';
import { createGotSender } from './send/send-with-got.ts';
import { createUndiciSender } from './send/send-with-undici.ts';
import { createFairReads } from './store/fair-reads.ts';
import { readEvents, readPayload, readRecordEvents, readRetries } from './store/read-events.ts';
import { recordAttempts } from './store/record-attempts.ts';

/** Connections that all users together need: 8 reads, 4 saves, 4 partitions being recorded, and one poll per worker. */
const MAX_CONNECTIONS = 28;

/**
 * Saves ignore the stop signal: a delivery that happened must be stored. Only the end of the process ends the repeats.
 */
const NEVER = new AbortController().signal;

export async function buildDispatcher(config: DispatcherConfig, context: ServiceContext): Promise<Worker[]> {
  const { cleanup, log, health } = context;
  const catalog = await beginService(context, config, 'dispatcher', [
    'sender',
    'deliveryTimeoutMs',
    'retryDelaysMs',
    'maxInFlight',
    'sendsTraceparent',
  ]);
  const topics = topicsOf(config.topicPrefix, catalog);
  const self = `dispatcher-${randomUUID()}`;
  const pool = await openControlStore(context, config, 'dispatcher', { max: MAX_CONNECTIONS });
  const kafka = openKafka(context, config, 'dispatcher');
  const admin = await connectAdmin(kafka, config.kafka);
  await ensureTopics(admin, topics.declarations, { settings: config.topicSettings, log });
  const mirrorGroup = feedMirrorGroup(config.topicPrefix);
  const mark = await findStoreMark(admin, mirrorGroup, topics.capture);
  if (mark !== undefined) await correctStore(pool, mark, catalog, log);
  const { topics: found } = await admin.fetchTopicMetadata({ topics: [topics.changes] });
  await admin.disconnect();
  const partitionCount = found[0]?.partitions.length ?? 1;

  const { registry, codec } = openRegistry(context, config);
  const createSender = { got: createGotSender, undici: createUndiciSender }[config.sender];
  const sender = createSender(
    { timeoutMs: config.deliveryTimeoutMs },
    createConnectionCheck(config.allowNetworks),
  );
  cleanup.defer(() => sender.close());
  await openHealth(context, config);

  const { current, previous } = config.secretKeys;
  const box = createSecretBox(current, WEBHOOK_SECRETS, previous);
  // A pool of its own: renewing the lease must not queue behind other queries, because all endpoints pause once it
  // expires.
  const leasePool = openControlPool(context, config, 'dispatcher', {
    purpose: 'lease',
    max: 1,
    answerTimeoutMs: RENEW_LIMIT_MS,
  });
  const lease = createLease({
    renew: (leaseMs) => renewDispatcher(leasePool, self, leaseMs),
    remove: () => removeDispatcher(leasePool, self),
    monotonicMs: () => performance.now(),
    log,
  });
  const saver = createProgressSaver((batch) =>
    keepTrying('saving progress', () => saveProgress(pool, self, batch), log, NEVER),
  );
  const metrics = addDispatcherMetrics(health.metrics, Date.now);
  const attempts = createAttemptLog((batch) => {
    metrics.attempted(batch);
    return recordAttempts(pool, batch);
  }, log);
  cleanup.defer(() => attempts.flush());

  const reads = createFairReads();
  const requests = createRequestLimiter(config.maxInFlight);
  const turns = createStartTurns(config.maxInFlight, config.deliveryTimeoutMs);
  const leases: EndpointLeases = createEndpointLeases(
    lease,
    {
      fairShare: () => readFairShare(pool),
      claim: async (limit) =>
        (await claimEndpoints(pool, self, limit)).map((row) => toEndpoint(row, box, log)),
      changed: async () => (await readChangedEndpoints(pool, self)).map((row) => toEndpoint(row, box, log)),
      noteApplied: (versions) => noteApplied(pool, versions),
      heldIds: () => readHeldIds(pool, self),
      release: (ids) => releaseEndpoints(pool, self, ids),
      leave: () => leaveEndpoints(pool, self),
      retries: (ids) => readRetries(pool, ids),
    },
    (endpoint) =>
      createEndpointRunner(endpoint, {
        send: sender.send,
        readEvents: (accountId, after, limit, patterns) =>
          reads.runShared(accountId, JSON.stringify([formatPosition(after), limit, patterns]), () =>
            readEvents(pool, accountId, after, limit, patterns),
          ),
        readRecordEvents: (accountId, record, ...range) =>
          reads.run(accountId, () => readRecordEvents(pool, accountId, record, ...range)),
        readPayload: (accountId, { position, committedAt }) =>
          reads.run(accountId, () => readPayload(pool, accountId, position, committedAt)),
        saver,
        noteAttempt: attempts.note,
        maySend: (inFlight) => leases.maySend() && requests.mayBegin(endpoint.settings.accountId, inFlight),
        turns,
        onSending: (change) => requests.note(endpoint.settings.accountId, change),
        findUrlProblem: (url) => findUrlProblem(url, config),
        singularOf: (resource) => findResource(catalog, resource)?.event,
        onLost: (endpointId) => leases.forget(endpointId),
        now: Date.now,
        random: Math.random,
        retryDelaysMs: config.retryDelaysMs,
        sendsTraceparent: config.sendsTraceparent,
        log,
      }),
    () => wakeUps.isListening(),
    log,
  );
  const tests = createWebhookTests({
    claim: async (limit) =>
      (await claimWebhookTests(pool, limit)).map((row) => ({
        settings: toEndpoint(row, box, log).settings,
        eventId: row.event_id,
        payload: row.payload,
      })),
    saveResult: ({ settings, eventId }, result) => saveTestResult(pool, settings.id, eventId, result),
    send: sender.send,
    findUrlProblem: (url) => findUrlProblem(url, config),
    noteAttempt: attempts.note,
    now: Date.now,
    log,
  });
  const accountEvents = createAccountEvents(pool, log);
  const failedReplays = createFailedReplays(pool, log);
  const onWebhooks = (endpointId: string | undefined) => {
    accountEvents.look();
    if (isJobId(endpointId)) return;
    failedReplays.look();
    leases.look(endpointId);
    tests.look();
  };
  const wakeUps = createWakeUps(config.controlUrl, self, { onEvents: leases.wake, onWebhooks }, log);

  const group = recorderGroup(config.topicPrefix);
  const ends = cleanup.adopt(kafka.uncommittedAdmin(), (client) => client.disconnect());
  await ends.connect();
  const bounds = createReadBounds(ends, topics.changes, group);
  const recordedChain = createRecordedChain(pool, async () => new Set((await bounds.committed()).keys()));
  const wakeAll = () => leases.wake(undefined);
  const recording: Omit<RecordDeps, 'chains'> = {
    readerOf: createChangeReaders(catalog, registry),
    listAccounts: async () => {
      const { rows } = await pool.query<{ source_id: string }>('select source_id from accounts');
      return rows.map((row) => row.source_id);
    },
    ensurePartitions: (days) => ensurePartitions(pool, days),
    insert: gatherInserts(async (events) => {
      const inserted = await insertEvents(pool, self, events);
      metrics.recorded(events, inserted.count);
      return inserted;
    }, wakeAll),
    keptSince: () => keptSince(Date.now(), config),
    expired: createExpiredEvents(pool, Date.now),
    resources: catalog.resources,
    recordedTo: (accounts) => readRecordedTo(pool, accounts),
    losses: recordedChain,
    onRecorded: leases.offer,
    onUnsure: wakeAll,
    log,
  };
  const recorder = createRecorder({
    topic: topics.changes,
    consumer: kafka.consumer({ groupId: group, ...RECORDER_GROUP_SETTINGS }),
    createRecord: () => createRecordBatch(partitionCount, { ...recording, chains: createAccountChains() }),
    recordedChain,
    bounds,
    log,
  });
  addHeldMetrics(health.metrics, {
    backlogBytes: () => recorder.backlogBytes(),
    running: () => requests.running(),
    held: () => leases.heldCount(),
  });
  return [
    recorder,
    createLostTailWatch({
      db: pool,
      bounds,
      recorder,
      now: Date.now,
      log,
    }),
    createFeedMirror(
      topics,
      kafka,
      kafka.consumer({ groupId: mirrorGroup, ...GROUP_SETTINGS }),
      codec,
      pool,
      () => findStoreMark(ends, mirrorGroup, topics.capture),
      log,
    ),
    createEventKeeper(config, pool, log),
    wakeUps,
    accountEvents,
    failedReplays,
    tests,
    leases,
  ];
}

/**
 * Corrects a store that was restored from a backup. Runs before anything uses the store: a seal message that arrives
 * first would complete an export a second time.
 */
async function correctStore(pool: Pool, mark: StoreMark, { resources }: Catalog, log: Log): Promise<void> {
  const names = resources.map(({ name }) => name);
  const correction = await correctRestored(pool, mark, names);
  if (correction === undefined) return;
  log.error('control_store.restored', {
    ...correction,
    knownLsn: formatLsn(mark.passedLsn),
    effect: 'jobs that ran or waited have failed; changes since the backup are recorded again from Kafka',
    remedy: 'see "Restoring the control store" in deploy/README.md',
  });
}
