import { toSigningKeys } from '../../shared/bulk/handler-secrets.ts';
import { isLedgerReady, LEDGER_DDL } from '../../shared/bulk/ledger.ts';
import { handlerOperations } from '../../shared/bulk/operation.ts';
import { findMissingRights, reportMissingRights } from '../../shared/bulk/role-rights.ts';
import { createSourcePool } from '../../shared/bulk/source-pool.ts';
import { showFinding } from '../../shared/catalog/finding.ts';
import { createSlotWatch } from '../../shared/catalog/slot-health.ts';
import { createLockWatch, guardPool } from '../../shared/postgres/lock-watch.ts';
import { watchPool } from '../../shared/postgres/pool-metrics.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { ServiceContext } from '../../shared/runtime/run-service.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import {
  applicationOf,
  beginService,
  leaseOwner,
  openControlStore,
  openHealth,
} from '../../shared/service/open-parts.ts';
import { measureStorage } from '../../shared/storage/measure-storage.ts';
import { openStorage } from '../../shared/storage/open-storage.ts';
import { createActiveJobs } from './active-jobs.ts';
import type { BulkConfig } from './config.ts';
import { createFeedBacklog } from './feed-backlog.ts';
import { createLister } from './list/list-jobs.ts';
import { addBulkMetrics } from './metrics.ts';
import { createRetentionSweeper } from './retention-sweeper.ts';
import { createScheduler } from './scheduler.ts';
import { createThrottle, readPressure } from './throttle.ts';
import { createChunkWorkers } from './work/work-chunks.ts';

/** Jobs listed at once, so that a file of millions of IDs does not delay another customer's ten. */
const LISTERS = 2;

/**
 * The bulk service: lists the items of jobs and works on them in chunks. Any number of processes may run in parallel.
 */
export async function buildBulk(
  config: BulkConfig,
  context: ServiceContext,
  now: () => number = Date.now,
): Promise<Worker[]> {
  const { cleanup, log, health } = context;
  const catalog = await beginService(context, config, 'bulk', [
    'maxChunks',
    'maxHttpChunks',
    'chunkItems',
    'httpConcurrency',
    'heldRowMs',
    'handlerAwayMs',
    'retentionDays',
    'pressureLimits',
  ]);
  const storage = measureStorage(await openStorage(config.storageUrl), health.metrics);
  const control = await openControlStore(context, config, 'bulk', {
    // A chunk renews its claim while it works; the lister and the job scheduler have one each.
    max: (config.maxChunks + config.maxHttpChunks) * 2 + LISTERS * 2 + 2,
  });
  const source = cleanup.adopt(
    createSourcePool(config.sourceUrl, log, {
      applicationName: applicationOf('bulk'),
      // And the throttle and the watch of the slot poll now and then.
      max: (config.maxChunks + config.maxHttpChunks) * 2 + LISTERS + 4,
    }),
    (pool) => pool.end(),
  );
  watchPool(health.metrics, 'source', source);
  guardPool(
    source,
    cleanup.use(
      createLockWatch({
        databaseUrl: config.sourceUrl,
        applicationName: applicationOf('bulk', 'lock watch'),
        log,
      }),
    ),
  );
  const missing = await findMissingRights(source, catalog, 'change');
  const ofLedger = missing.filter(({ resource }) => resource === undefined);
  if (ofLedger.length > 0) throw new SetupError('a right is missing', ofLedger.map(showFinding));
  reportMissingRights(log, missing);
  const hasOperations = catalog.resources.some(({ operations }) => Object.keys(operations).length > 0);
  if (hasOperations && !(await isLedgerReady(source))) {
    throw new SetupError('the source has no ledger for bulk jobs: run tandem source prepare, or this SQL', [
      ...LEDGER_DDL.map((statement) => `${statement};`),
    ]);
  }

  const owner = leaseOwner();
  const feedBacklog = createFeedBacklog(control);
  const throttle = createThrottle({
    limits: config.pressureLimits,
    log,
    read: () => readPressure(source, feedBacklog),
    now: performance.now.bind(performance),
    sleep,
  });
  const metrics = addBulkMetrics(health.metrics, () => throttle.pace);
  const slot = { slotName: config.slotName, thresholds: config.slotThresholds };
  const slotWatch = createSlotWatch(source, slot, { log, now: Date.now });
  const signingKeys = toSigningKeys(config.handlerSecrets);
  if (signingKeys.length === 0 && handlerOperations(catalog).length > 0) {
    log.warn('bulk.handlers_unsigned', {
      remedy: 'set BULK_HANDLER_SECRETS, so that handlers can verify requests',
    });
  }
  const deps = {
    ...config,
    signingKeys,
    slotWatch,
    throttle,
    active: createActiveJobs(control),
    control,
    source,
    storage,
    catalog,
    metrics,
    log,
    now,
  };
  await openHealth(context, config);
  return [
    slotWatch,
    createScheduler(deps),
    ...Array.from({ length: LISTERS }, (_, index) => createLister(index, owner, deps)),
    ...createChunkWorkers(owner, deps),
    createRetentionSweeper(deps),
  ];
}
