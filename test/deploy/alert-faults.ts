/** A series with its values, one a minute, in the notation of `promtool test rules`. */
export type Series = readonly [series: string, values: string];

/** Minutes before a fault begins, and that it lasts. */
export const HEALTHY_MINUTES = 90;
export const FAULT_MINUTES = 90;

const always = (value: number) => `${value}x${HEALTHY_MINUTES + FAULT_MINUTES}`;
const rising = (perMinute: number) => `0+${perMinute}x${HEALTHY_MINUTES + FAULT_MINUTES}`;

/** Healthy first, then of this value. */
const then = (healthy: number, value: number) =>
  `${healthy}x${HEALTHY_MINUTES - 1} ${value}x${FAULT_MINUTES}`;
const thenRising = (healthyPerMinute: number, perMinute: number) =>
  `0+${healthyPerMinute}x${HEALTHY_MINUTES - 1} ${healthyPerMinute * HEALTHY_MINUTES}+${perMinute}x${FAULT_MINUTES}`;

const EVENTS = [
  'control_store.restored',
  'changes.lost',
  'changes.lost_at_end',
  'export.failed',
  'chunk.failed',
];
const SERVICES = ['api', 'bulk', 'capture', 'dispatcher', 'extractor', 'writer'];

const histogram = (
  name: string,
  labels: string,
  buckets: readonly (readonly [le: string, perMinute: number])[],
) => buckets.map(([le, perMinute]): Series => [`${name}_bucket{${labels}le="${le}"}`, rising(perMinute)]);

/** An installation that is well and busy, with two API processes. */
export const HEALTHY: readonly Series[] = [
  ...['control_store', 'source', 'kafka'].flatMap((dependency): Series[] => [
    [`tandem_dependency_up{dependency="${dependency}",instance="api-1"}`, always(1)],
    [`tandem_dependency_up{dependency="${dependency}",instance="api-2"}`, always(1)],
  ]),
  ...SERVICES.flatMap((service): Series[] => [
    [`tandem_processes{service="${service}",state="ready",instance="api-1"}`, always(1)],
    [`tandem_ready{instance="${service}-1"}`, always(1)],
    [`tandem_build_info{version="1.0.0",instance="${service}-1"}`, always(1)],
    [`nodejs_eventloop_lag_p99_seconds{instance="${service}-1"}`, always(0.02)],
  ]),
  ['tandem_outbox_age_seconds{instance="api-1"}', always(0)],
  ['tandem_http_requests_total{method="GET",route="/exports",status="200"}', rising(600)],
  ['tandem_http_requests_total{method="GET",route="/readyz",status="503"}', rising(1)],
  ['tandem_http_requests_total{method="GET",route="/exports",status="500"}', rising(1)],
  ...histogram('tandem_http_request_duration_seconds', 'method="GET",route="/exports",', [
    ['0.5', 590],
    ['1', 600],
    ['10', 600],
    ['+Inf', 600],
  ]),
  ['tandem_pool_connections{instance="api-1",pool="control",state="waiting"}', always(1)],
  ['tandem_registry_failures_total{operation="register"}', always(0)],
  ...EVENTS.map((event): Series => [`tandem_log_lines_total{level="error",event="${event}"}`, always(0)]),
  ['tandem_log_lines_total{level="error",event="request.failed"}', always(0)],
  ['tandem_log_lines_total{level="warn",event="delivery.dead"}', rising(2)],
  ['tandem_slot_exists{instance="api-1"}', always(1)],
  ['tandem_slot_active{instance="api-1"}', always(1)],
  ['tandem_slot_state{instance="api-1"}', always(0)],
  ['tandem_slot_lag_bytes{instance="api-1"}', always(1_000_000)],
  ['tandem_slot_safe_wal_bytes{instance="api-1"}', always(5_000_000_000)],
  ['tandem_feed_age_seconds{instance="api-1"}', always(10)],
  ...histogram('tandem_publish_delay_seconds', '', [
    ['1', 100],
    ['30', 100],
    ['300', 100],
    ['+Inf', 100],
  ]),
  ['tandem_resource_set_aside{resource="invoices",instance="capture-1"}', always(0)],
  ['tandem_consumer_lag{consumer="recorder",instance="api-1"}', always(500)],
  ['tandem_consumer_members{consumer="recorder",instance="api-1"}', always(2)],
  ['tandem_consumer_members{consumer="feed_mirror",instance="api-1"}', always(1)],
  ['tandem_source_transaction_age_seconds{owner="other",instance="api-1"}', always(20)],
  ['tandem_source_transaction_age_seconds{owner="tandem",instance="api-1"}', always(300)],
  ['tandem_snapshot_age_seconds{instance="extractor-1"}', always(300)],
  ['tandem_replica_lag_seconds{replica="1",instance="extractor-1"}', always(8)],
  // All that is queued waits for the limit of its account, however long.
  ['tandem_export_queue_age_seconds{instance="api-1"}', always(4_000)],
  ['tandem_exports{state="queued",instance="api-1"}', always(2)],
  ['tandem_exports_at_limit{instance="api-1"}', always(2)],
  ['tandem_exports{state="extracting",instance="api-1"}', always(1)],
  ['tandem_exports{state="assembling",instance="api-1"}', always(0)],
  ['tandem_rows_extracted_total{instance="extractor-1"}', rising(10_000)],
  ['tandem_storage_written_bytes_total{instance="writer-1"}', rising(1_000_000)],
  ['tandem_exports_completed_total{instance="writer-1"}', rising(1)],
  ['tandem_storage_failures_total{reason="full"}', always(0)],
  ['tandem_storage_failures_total{reason="refused"}', always(0)],
  ['tandem_storage_failures_total{reason="other"}', always(3)],
  ['tandem_disk_free_bytes{instance="writer-1",volume="scratch"}', always(60_000)],
  ['tandem_disk_size_bytes{instance="writer-1",volume="scratch"}', always(100_000)],
  ['tandem_delivery_attempts_total{outcome="delivered"}', rising(950)],
  ['tandem_delivery_attempts_total{outcome="timeout"}', rising(50)],
  ['tandem_deliveries_due{instance="api-1"}', always(20)],
  ['tandem_deliveries_parked{state="dead",instance="api-1"}', `1000+1x${HEALTHY_MINUTES + FAULT_MINUTES}`],
  ['tandem_endpoints{state="disabled",instance="api-1"}', always(40)],
  ['tandem_bulk_jobs_ended_total{status="failed"}', always(1)],
  ['tandem_bulk_operations{state="running",instance="api-1"}', always(1)],
  ['tandem_bulk_operations{state="paused_by_handler",instance="api-1"}', always(0)],
  ['tandem_bulk_items_total{result="succeeded"}', rising(1_000)],
];

/** What is other than healthy in each fault. A series without values ends when the fault begins. */
export const FAULTS: Readonly<Record<string, readonly Series[]>> = {
  TandemApiMissing: ['control_store', 'source', 'kafka'].flatMap((dependency) =>
    ['api-1', 'api-2'].map(
      (instance): Series => [
        `tandem_dependency_up{dependency="${dependency}",instance="${instance}"}`,
        `1x${HEALTHY_MINUTES - 1} _x${FAULT_MINUTES}`,
      ],
    ),
  ),
  TandemDependencyDown: [['tandem_dependency_up{dependency="kafka",instance="api-2"}', then(1, 0)]],
  TandemServiceMissing: [['tandem_processes{service="writer",state="ready",instance="api-1"}', then(1, 0)]],
  TandemNotReady: [['tandem_ready{instance="bulk-1"}', then(1, 0)]],
  TandemOutboxWaits: [['tandem_outbox_age_seconds{instance="api-1"}', then(0, 90)]],
  TandemHttpErrors: [
    ['tandem_http_requests_total{method="GET",route="/exports",status="500"}', thenRising(1, 60)],
  ],
  TandemHttpSlow: [
    [
      'tandem_http_request_duration_seconds_bucket{method="GET",route="/exports",le="1"}',
      thenRising(600, 500),
    ],
    [
      'tandem_http_request_duration_seconds_bucket{method="GET",route="/exports",le="0.5"}',
      thenRising(590, 500),
    ],
  ],
  TandemPoolExhausted: [
    ['tandem_pool_connections{instance="api-1",pool="control",state="waiting"}', then(1, 50)],
  ],
  TandemRegistryFailing: [['tandem_registry_failures_total{operation="register"}', thenRising(0, 2)]],
  TandemErrorsLogged: [['tandem_log_lines_total{level="error",event="request.failed"}', thenRising(0, 1)]],
  TandemEventLoopBlocked: [['nodejs_eventloop_lag_p99_seconds{instance="dispatcher-1"}', then(0.02, 3)]],
  TandemVersionsMixed: [
    ['tandem_build_info{version="1.1.0",instance="api-3"}', `_x${HEALTHY_MINUTES} 1x${FAULT_MINUTES}`],
  ],
  // A dispatcher finds it at its start, before it is scraped.
  TandemControlStoreRestored: [
    [
      'tandem_log_lines_total{level="error",event="control_store.restored",instance="dispatcher-2"}',
      `_x${HEALTHY_MINUTES + FAULT_MINUTES - 20} 1x20`,
    ],
  ],
  TandemSlotLost: [['tandem_slot_exists{instance="api-1"}', then(1, 0)]],
  TandemCaptureDown: [['tandem_slot_active{instance="api-1"}', then(1, 0)]],
  TandemFeedStalled: [['tandem_feed_age_seconds{instance="api-1"}', then(10, 200)]],
  TandemFeedBehind: [['tandem_slot_lag_bytes{instance="api-1"}', then(1_000_000, 900_000_000)]],
  TandemPublishingLate: [
    ['tandem_publish_delay_seconds_bucket{le="1"}', thenRising(100, 0)],
    ['tandem_publish_delay_seconds_bucket{le="30"}', thenRising(100, 10)],
  ],
  TandemSlotWarn: [['tandem_slot_state{instance="api-1"}', then(0, 1)]],
  TandemSlotRefuse: [['tandem_slot_state{instance="api-1"}', then(0, 2)]],
  TandemSlotRunsOut: [
    [
      'tandem_slot_safe_wal_bytes{instance="api-1"}',
      `5000000000x${HEALTHY_MINUTES - 1} 5000000000-50000000x${FAULT_MINUTES}`,
    ],
  ],
  TandemResourceSetAside: [
    ['tandem_resource_set_aside{resource="invoices",instance="capture-1"}', then(0, 1)],
  ],
  TandemRecorderBehind: [['tandem_consumer_lag{consumer="recorder",instance="api-1"}', then(500, 400_000)]],
  TandemRecorderMissing: [['tandem_consumer_members{consumer="recorder",instance="api-1"}', then(2, 0)]],
  TandemChangesLost: [['tandem_log_lines_total{level="error",event="changes.lost"}', thenRising(0, 1)]],
  TandemOldTransaction: [
    ['tandem_source_transaction_age_seconds{owner="other",instance="api-1"}', then(20, 5_000)],
  ],
  TandemSnapshotOld: [['tandem_snapshot_age_seconds{instance="extractor-1"}', then(300, 8_000)]],
  TandemReplicaLate: [['tandem_replica_lag_seconds{replica="1",instance="extractor-1"}', then(8, 400)]],
  TandemExportsQueued: [['tandem_exports{state="queued",instance="api-1"}', then(2, 3)]],
  TandemExportsStuck: [
    ['tandem_rows_extracted_total{instance="extractor-1"}', thenRising(10_000, 0)],
    ['tandem_storage_written_bytes_total{instance="writer-1"}', thenRising(1_000_000, 0)],
    ['tandem_exports_completed_total{instance="writer-1"}', thenRising(1, 0)],
  ],
  TandemExportsFailing: [['tandem_log_lines_total{level="error",event="export.failed"}', thenRising(0, 1)]],
  TandemStorageRefuses: [['tandem_storage_failures_total{reason="full"}', thenRising(0, 1)]],
  TandemStorageFailing: [['tandem_storage_failures_total{reason="other"}', thenRising(0, 5)]],
  TandemDiskFilling: [['tandem_disk_free_bytes{instance="writer-1",volume="scratch"}', then(60_000, 5_000)]],
  TandemDeliveriesFailing: [
    ['tandem_delivery_attempts_total{outcome="delivered"}', thenRising(950, 100)],
    ['tandem_delivery_attempts_total{outcome="timeout"}', thenRising(50, 900)],
  ],
  TandemDeliveriesLate: [['tandem_deliveries_due{instance="api-1"}', then(20, 9_000)]],
  TandemDeadLetters: [
    [
      'tandem_deliveries_parked{state="dead",instance="api-1"}',
      `1000+1x${HEALTHY_MINUTES - 1} 1100+20x${FAULT_MINUTES}`,
    ],
  ],
  TandemEndpointsDisabled: [
    [
      'tandem_endpoints{state="disabled",instance="api-1"}',
      `40x${HEALTHY_MINUTES - 1} 40+1x${FAULT_MINUTES}`,
    ],
  ],
  TandemBulkJobsFailing: [['tandem_bulk_jobs_ended_total{status="failed"}', thenRising(0, 1)]],
  TandemBulkHandlerAway: [['tandem_bulk_operations{state="paused_by_handler",instance="api-1"}', then(0, 2)]],
  TandemBulkStuck: [['tandem_bulk_items_total{result="succeeded"}', thenRising(1_000, 0)]],
};
