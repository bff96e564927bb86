import { findResource } from '../../shared/domain/catalog.ts';
import { publicKey } from '../../shared/domain/public-names.ts';
import { createChooseFormat } from '../../shared/formats/choose-format.ts';
import { stagingOf } from '../../shared/formats/format.ts';
import { createAnnouncer } from '../../shared/kafka/announcer.ts';
import { connectAdmin } from '../../shared/kafka/connect-admin.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { createListener } from '../../shared/postgres/listen.ts';
import { ASSEMBLIES_CHANNEL, rowsGroup } from '../../shared/protocol/names.ts';
import { createNotifier } from '../../shared/runtime/notifier.ts';
import type { ServiceContext } from '../../shared/runtime/run-service.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import {
  applicationOf,
  beginService,
  openControlStore,
  openHealth,
  openKafka,
  openRegistry,
} from '../../shared/service/open-parts.ts';
import { measureStorage } from '../../shared/storage/measure-storage.ts';
import { directoryOf, openStorage } from '../../shared/storage/open-storage.ts';
import type { WriterConfig } from './config.ts';
import { createAssembler } from './files/assembler.ts';
import { createRowTypeSource } from './files/resource-file.ts';
import { createScratch } from './files/scratch.ts';
import { createStagingSweeper } from './files/staging-sweeper.ts';
import { addWriterMetrics } from './metrics.ts';
import { BatchWriter } from './parts/batch-writer.ts';
import { createChunkControl } from './parts/chunk-control.ts';
import { createRowConsumer } from './parts/consume-rows.ts';
import { PartStore } from './parts/part.ts';
import { PartitionStates } from './parts/partition-states.ts';
import { createProgressRecorder } from './parts/progress.ts';
import { createRowCodecs } from './parts/row-codecs.ts';
import { createChunkWatch, createLostChunkWatch } from './parts/watch-chunks.ts';

/** The composition root: rows become parts, parts become files. */
export async function buildWriter(config: WriterConfig, context: ServiceContext): Promise<Worker[]> {
  const { cleanup, log, health } = context;
  const catalog = await beginService(context, config, 'writer', [
    'maxOpenChunks',
    'maxAssemblies',
    'scratchDirectory',
    'parquetMemoryMb',
    'retentionDays',
  ]);
  const resources = catalog.resources.map(({ name }) => name);
  const topics = topicsOf(config.topicPrefix, catalog);
  const groupId = rowsGroup(config.topicPrefix);
  const storage = measureStorage(await openStorage(config.storageUrl), health.metrics);

  const pool = await openControlStore(context, config, 'writer');
  const kafka = openKafka(context, config, 'writer');
  const admin = cleanup.adopt(await connectAdmin(kafka, config.kafka), (client) => client.disconnect());
  await ensureTopics(admin, topics.declarations, { settings: config.topicSettings, log });
  const { registry, codec } = openRegistry(context, config);
  const producer = cleanup.adopt(kafka.producer(), (p) => p.disconnect());
  await producer.connect();
  const announcer = createAnnouncer(producer, codec, log);

  await openHealth(context, config);

  const assemblyNotifier = createNotifier();
  const sweepNotifier = createNotifier();
  const partitionStates = new PartitionStates(log);
  const parts = new PartStore(storage);
  const metrics = addWriterMetrics(health.metrics, {
    openChunkCount: () => partitionStates.openChunkCount,
    directories: { scratch: config.scratchDirectory, storage: directoryOf(config.storageUrl) },
  });
  const progress = createProgressRecorder(pool, log);
  const writer = new BatchWriter({
    control: createChunkControl(pool, progress.note, log),
    codecs: createRowCodecs(registry, log),
    createPart: (chunkAttempt, { format, fields }) => parts.create(chunkAttempt, stagingOf(format), fields),
    maxOpenChunks: config.maxOpenChunks,
    openChunkCount: () => partitionStates.openChunkCount,
    onWritten({ exportId, resource, chunk, attempt }, rows) {
      metrics.written(rows);
      assemblyNotifier.notify();
      announcer.announce(topics.jobs, 'ChunkWritten', exportId, {
        job_id: exportId,
        resource,
        chunk,
        attempt,
        rows,
      });
    },
    onFailed: () => sweepNotifier.notify(),
    log,
  });
  const rows = createRowConsumer({ kafka, groupId, topics, resources, partitionStates, writer, log });
  const rowTypeOf = createRowTypeSource(registry, topics);
  const chooseFormat = createChooseFormat(config);
  const scratch = createScratch(config.scratchDirectory);
  const { retentionDays } = config;

  const wakeUps = createListener({
    databaseUrl: config.controlUrl,
    applicationName: applicationOf('writer', 'wake-ups'),
    channels: [ASSEMBLIES_CHANNEL],
    onNotification: assemblyNotifier.notify,
    onListening: assemblyNotifier.notify,
    log,
  });

  return [
    rows,
    wakeUps,
    progress,
    createChunkWatch({
      pool,
      admin,
      partitionStates,
      writer,
      commitFloor: (partitionState) => rows.commitFloor(partitionState),
      log,
    }),
    createLostChunkWatch({ pool, admin, groupId, topics, onFailed: () => sweepNotifier.notify(), log }),
    createAssembler({
      pool,
      maxAssemblies: config.maxAssemblies,
      storage,
      scratch,
      rowTypeOf,
      chooseFormat,
      keyOf(name) {
        const resource = findResource(catalog, name);
        return resource && publicKey(resource);
      },
      retentionDays,
      notifier: assemblyNotifier,
      isNotified: wakeUps.isListening,
      onEnded: () => sweepNotifier.notify(),
      onPublished: metrics.published,
      log,
    }),
    createStagingSweeper({ storage, scratch, pool, notifier: sweepNotifier, log }),
  ];
}
