/** What the documentation says of one setting. Its type, default and range are where a service reads it. */
interface SettingText {
  readonly group: keyof typeof SETTING_GROUPS;
  /** One line of a table: what it does, or what it limits. */
  readonly means: string;
  /** Shown in place of the declared default, where that depends on the machine or on another setting. */
  readonly defaultText?: string;
  /** What `npm start` sets a required one to. */
  readonly local?: string;
  /** Who reads it, when that is not a service through its `EnvReader`. */
  readonly readBy?: string;
}

/** The groups of `deploy/configuration.md`, in its order. */
export const SETTING_GROUPS = {
  source: 'Source and control store',
  kafka: 'Kafka and schema registry',
  process: 'Every process',
  tracing: 'Traces',
  api: 'API',
  exports: 'Exports and files',
  feed: 'Feed and webhooks',
  bulk: 'Bulk jobs',
  local: 'Local stack',
} as const;

/**
 * Every setting there is. A service cannot read one that is not here, and `deploy/configuration.md` is made from it
 * (`test/configuration.test.ts`).
 */
export const SETTINGS = {
  DATABASE_URL: {
    group: 'source',
    means:
      'The product’s PostgreSQL. `sslmode`, `sslrootcert` (a file or `system`), `sslcert` and `sslkey` work as in `psql`.',
    local: 'its own PostgreSQL',
  },
  CONTROL_DATABASE_URL: {
    group: 'source',
    means:
      'The control store. Schema `tandem` is created in it. Capture uses it only for a catalog with `account: {via: …}`.',
  },
  CONTROL_MIGRATIONS: {
    group: 'source',
    means:
      'Missing migrations of the control store: `apply` them at a start, or refuse to start (`check`). See [Upgrading](README.md#upgrading).',
  },
  CATALOG: {
    group: 'source',
    means: 'Path of the catalog: which tables are resources, and what may be done with them.',
    local: 'the DocuMint catalog',
  },
  PG_READER: {
    group: 'source',
    means:
      '`plain` reads rows by pg’s public interface alone: the same rows, at [more CPU](../shared/postgres/internals/README.md).',
  },
  SLOT_NAME: { group: 'source', means: 'Replication slot in the source.' },
  PUBLICATION_NAME: { group: 'source', means: 'Publication in the source.' },
  SLOT_WARN_BYTES: {
    group: 'source',
    means: 'Warns when the source keeps this much WAL for the slot. 0: never.',
  },
  SLOT_REFUSE_BYTES: {
    group: 'source',
    means:
      'Refuses new exports and bulk jobs, and pauses running bulk jobs, at this much WAL. 0: never. Set it below the disk’s free space.',
  },
  TABLE_MISFIT_GRACE_SECONDS: {
    group: 'source',
    means:
      'After a table was altered, the feed waits this long for a catalog that fits, then sets that resource aside.',
  },
  ACCEPT_GAP_AFTER: {
    group: 'source',
    means: 'After *gap possible*: the position from which you accept a gap. The error names it.',
  },

  KAFKA_BROKERS: { group: 'kafka', means: '`host:port,host:port`', local: 'its own Kafka' },
  KAFKA_SSL: { group: 'kafka', means: 'Connects with TLS.' },
  KAFKA_SSL_CA_FILE: {
    group: 'kafka',
    means: 'PEM file of the authorities that sign the brokers’ certificates.',
    defaultText: 'Node’s own list',
  },
  KAFKA_SSL_CERT_FILE: {
    group: 'kafka',
    means: 'PEM file of this client’s certificate, for a broker that asks for one.',
  },
  KAFKA_SSL_KEY_FILE: {
    group: 'kafka',
    means: 'PEM file of its key.',
    defaultText: 'required with a certificate',
  },
  KAFKA_SASL_MECHANISM: {
    group: 'kafka',
    means: 'How to log in: by user and password, a token of an OAuth server, or IAM of Amazon MSK.',
  },
  KAFKA_SASL_USERNAME: {
    group: 'kafka',
    means: 'User name, for `plain` and `scram`.',
    defaultText: 'required with these',
  },
  KAFKA_SASL_PASSWORD: { group: 'kafka', means: 'Its password.', defaultText: 'required with these' },
  KAFKA_OAUTH_TOKEN_URL: {
    group: 'kafka',
    means: 'For `oauthbearer`: where a token is asked for by client credentials.',
    defaultText: 'required with it',
  },
  KAFKA_OAUTH_CLIENT_ID: {
    group: 'kafka',
    means: 'Client of the token server.',
    defaultText: 'required with `oauthbearer`',
  },
  KAFKA_OAUTH_CLIENT_SECRET: {
    group: 'kafka',
    means: 'Its secret.',
    defaultText: 'required with `oauthbearer`',
  },
  KAFKA_OAUTH_SCOPE: { group: 'kafka', means: 'Scope of the token; several with spaces.' },
  KAFKA_OAUTH_EXTENSIONS: {
    group: 'kafka',
    means: 'Sent to the broker beside the token, such as `logicalCluster=lkc-1,identityPoolId=pool-1`.',
  },
  KAFKA_AWS_REGION: {
    group: 'kafka',
    means: 'For `aws_iam`: region of the MSK cluster. The AWS SDK finds the credentials, as for `s3://`.',
    defaultText: 'that in the brokers’ names',
  },
  SCHEMA_REGISTRY_URL: {
    group: 'kafka',
    means: 'A registry with Confluent’s API. A login in the URL is sent as basic authentication.',
    local: 'its own registry',
  },
  KAFKA_CLIENT: {
    group: 'kafka',
    means:
      '`plain`: at [more CPU](../shared/kafka/internals/README.md). `platformatic`: a trial of [another](../shared/kafka/platformatic/README.md).',
  },
  TOPIC_PREFIX: { group: 'kafka', means: 'First part of every topic’s name.' },
  KAFKA_CREATE_TOPICS: {
    group: 'kafka',
    means: 'Services create missing topics. `false`: they only check; `tandem topics apply` creates them.',
  },
  KAFKA_REPLICATION_FACTOR: {
    group: 'kafka',
    means: 'Replicas of a topic. 0: three, or as many as there are brokers.',
  },
  KAFKA_MIN_INSYNC_REPLICAS: {
    group: 'kafka',
    means: 'Replicas that must have a record before it counts as sent. 0: one fewer than there are.',
  },
  KAFKA_MAX_MESSAGE_BYTES: {
    group: 'kafka',
    means:
      'Largest record of topics that hold rows: a change has its old row and its new one. 0: as the cluster has it.',
  },

  LOG_LEVEL: {
    group: 'process',
    means: 'Least level of a log line: `debug`, `info`, `warn`, `error`.',
    defaultText: '`info`',
    readBy: 'all',
  },
  HOST: { group: 'process', means: 'Address to listen on.' },
  HEALTH_PORT: {
    group: 'process',
    means: 'Port of `/healthz`, `/readyz` and `/metrics`; the api has them at `PORT`.',
    defaultText: 'a free one',
  },
  BACKGROUND_NICE: {
    group: 'process',
    means:
      'Niceness that services of work that can wait give themselves, so that the feed comes first on a busy machine. 0: none.',
  },

  OTEL_EXPORTER_OTLP_ENDPOINT: {
    group: 'tracing',
    means:
      'A collector that takes OTLP over HTTP, such as `http://collector:4318`. Unset: [no traces](guides.md#traces).',
  },
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: {
    group: 'tracing',
    means: 'The same, with its whole path, for traces alone.',
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    group: 'tracing',
    means:
      'Headers for the collector, such as `api-key=…`. The exporter reads its other `OTEL_EXPORTER_OTLP_…` too.',
    defaultText: '–',
    readBy: 'all',
  },
  OTEL_EXPORTER_OTLP_TIMEOUT: {
    group: 'tracing',
    means: 'Milliseconds that the collector has for one request.',
  },
  OTEL_TRACES_SAMPLER: {
    group: 'tracing',
    means: 'Which traces are taken. A trace begins at a request of the API, or at a commit.',
  },
  OTEL_TRACES_SAMPLER_ARG: {
    group: 'tracing',
    means: 'Share of traces for the samplers with a ratio, from 0 to 1.',
    defaultText: '`1`',
  },
  OTEL_TRACES_EXPORTER: { group: 'tracing', means: '`none` turns traces off.' },
  OTEL_SDK_DISABLED: { group: 'tracing', means: '`true` turns traces off.' },
  OTEL_SERVICE_NAME: {
    group: 'tracing',
    means: 'Name of the service in its spans. It replaces all six when it is set for all.',
    defaultText: '`tandem-<service>`',
  },
  OTEL_RESOURCE_ATTRIBUTES: {
    group: 'tracing',
    means: 'Attributes of every span, such as `deployment.environment.name=production`.',
    defaultText: '–',
    readBy: 'all',
  },
  OTEL_BSP_SCHEDULE_DELAY: { group: 'tracing', means: 'Milliseconds between two requests to the collector.' },
  OTEL_BSP_MAX_QUEUE_SIZE: {
    group: 'tracing',
    means:
      'Spans that wait for the collector. More are dropped, and `traces.dropped` is logged once a minute.',
  },

  PORT: { group: 'api', means: 'Port of the API.' },
  PUBLIC_URL: {
    group: 'api',
    means:
      'Where clients reach the API. Links start with it, and the dashboard takes forms from this origin alone.',
    defaultText: 'from `HOST` and `PORT`',
  },
  PORTAL_REFRESH_URL: {
    group: 'api',
    means: 'Page of yours that makes a new portal link. The dashboard leads there when a session is over.',
  },
  PORTAL_FRAME_ANCESTORS: {
    group: 'api',
    means: 'Origins that may show the dashboard in a frame, separated by commas.',
  },
  CORS_ORIGINS: {
    group: 'api',
    means:
      'Origins whose pages may call the API from a browser, separated by commas. `*` allows all. Keys are still needed.',
  },
  PORTAL_IDLE_SECONDS: { group: 'api', means: 'A dashboard session ends this long after its last request.' },
  PORTAL_SESSION_SECONDS: { group: 'api', means: 'Longest lifetime of a dashboard session.' },
  ADMIN_KEY: {
    group: 'api',
    means: 'The operator’s key, at least 16 characters. `openssl rand -hex 32` makes one.',
    local: 'generated, kept in `TANDEM_HOME`',
  },
  SECRET_KEY: {
    group: 'api',
    means: 'Encrypts endpoint secrets, signs links and cursors. At least 32 characters.',
    local: 'generated, kept in `TANDEM_HOME`',
  },
  SECRET_KEY_PREVIOUS: {
    group: 'api',
    means:
      'Earlier keys that still open and verify, with commas. See [Changing SECRET_KEY](README.md#changing-secret_key).',
  },
  API_REQUESTS_PER_SECOND: {
    group: 'api',
    means: 'Requests of one account to one api process in a second. More get 429.',
  },
  API_REQUESTS_PER_MINUTE: {
    group: 'api',
    means:
      'Requests of one key to one api process in a minute, without downloads. More get 429. 0: unlimited.',
  },
  API_MAX_OPEN_REQUESTS: {
    group: 'api',
    means: 'Requests of one account open at once in one api process. More get 429.',
  },
  API_MAX_DOWNLOADS: {
    group: 'api',
    means: 'Files that one api process sends to one account at once. More get 429.',
  },
  MAX_BODY_BYTES: { group: 'api', means: 'Size of a request body.' },

  STORAGE_URL: {
    group: 'exports',
    means:
      'Where files are kept: `file:///directory` or `s3://bucket/prefix?region=…`. See [Files in S3](README.md#files-in-s3).',
    local: '`storage` in `TANDEM_HOME`',
  },
  AWS_ACCESS_KEY_ID: {
    group: 'exports',
    means:
      'Credentials for `s3://`, with `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, or a profile in `AWS_PROFILE`.',
    defaultText: 'the machine’s role',
    readBy: 'api, bulk, writer',
  },
  AWS_REGION: {
    group: 'exports',
    means: 'Region for `s3://`, when the URL has none.',
    defaultText: 'the machine’s region',
    readBy: 'api, bulk, writer',
  },
  DOWNLOAD_URL_SECONDS: { group: 'exports', means: 'Lifetime of a presigned link.' },
  EXPORT_RETENTION_DAYS: { group: 'exports', means: 'How long files are kept.' },
  MAX_QUEUED_EXPORTS: { group: 'exports', means: 'Waiting exports of one account.' },
  EXTRACTOR_MAX_EXPORTS: {
    group: 'exports',
    means:
      'Exports of more than 100,000 rows one extractor runs at once; 16 smaller ones may run beside them. 0: it only reads chunks.',
  },
  EXTRACTOR_MAX_CHUNKS: {
    group: 'exports',
    means:
      'Chunks one extractor reads at once; 6 groups of small ones may be read beside them. 0: it only holds snapshots.',
  },
  EXTRACTOR_MAX_ALL_ACCOUNT_EXPORTS: { group: 'exports', means: 'Running exports of all accounts at once.' },
  EXTRACTOR_CHUNK_WINDOW: { group: 'exports', means: 'Open chunks of one export.' },
  EXTRACTOR_CHUNK_BYTES: { group: 'exports', means: 'Size of a chunk.' },
  EXTRACTOR_EXPORT_TIMEOUT_MS: {
    group: 'exports',
    means: 'Snapshot lifetime; also how long a chunk of a chunked export waits for a locked table.',
  },
  EXTRACTOR_CHUNK_TIMEOUT_MS: { group: 'exports', means: 'Time to read one chunk.' },
  EXTRACTOR_FEED_TIMEOUT_MS: {
    group: 'exports',
    means: 'Wait for a feed that does not move, then the export fails with `feed_not_running`.',
  },
  EXTRACTOR_SETTLE_TIMEOUT_MS: {
    group: 'exports',
    means: 'Wait of an account’s first export for older transactions, then it fails with `feed_not_settled`.',
  },
  SOURCE_READ_URL: {
    group: 'exports',
    means: 'Hot standbys of the source, with commas between: chunked exports read their rows there.',
  },
  CHUNKED_EXPORT_ROWS: {
    group: 'exports',
    means:
      'Reads exports of this many estimated rows or more in short transactions. 0: only those that ask for it.',
  },
  WRITER_MAX_OPEN_CHUNKS: { group: 'exports', means: 'Parts one writer has open.' },
  WRITER_MAX_ASSEMBLIES: {
    group: 'exports',
    means:
      'Exports of more than 1 MB one writer assembles at once; 10 smaller ones may be assembled beside them.',
  },
  WRITER_SCRATCH_DIR: {
    group: 'exports',
    means: 'Disk for Parquet files in progress: twice the rows of the largest file.',
    defaultText: 'in the temporary directory',
  },
  PARQUET_MEMORY_MB: { group: 'exports', means: 'Memory for one Parquet file in progress.' },

  EVENT_RETENTION_DAYS: {
    group: 'feed',
    means: 'How long events are kept. Set the same for api and dispatcher.',
  },
  FEED_STALL_SECONDS: {
    group: 'feed',
    means:
      'A feed that has not moved for this long is reported as `feed.stalled`; a missing or lost slot at once.',
  },
  DELIVERY_ALLOW_NETWORKS: {
    group: 'feed',
    means: 'Private networks that deliveries may reach, such as `10.0.0.0/8`.',
  },
  DELIVERY_ALLOW_HTTP: { group: 'feed', means: 'Delivers to plain http too.' },
  DELIVERY_SENDER: { group: 'feed', means: 'HTTP client of deliveries.' },
  DELIVERY_TIMEOUT_MS: { group: 'feed', means: 'Total time of one delivery.' },
  DELIVERY_MAX_IN_FLIGHT: {
    group: 'feed',
    means: 'Requests of one dispatcher at once. An account alone gets half of them.',
  },
  DELIVERY_TRACEPARENT: {
    group: 'feed',
    means: 'Sends `traceparent` with deliveries of traced commits. It is not signed.',
  },
  RETRY_SCHEDULE_SECONDS: { group: 'feed', means: 'Delays between the attempts of one event.' },

  MAX_QUEUED_BULK: { group: 'bulk', means: 'Waiting bulk jobs of one account.' },
  BULK_RETENTION_DAYS: { group: 'bulk', means: 'How long ended bulk jobs and their results are kept.' },
  BULK_SYNC_HANDLER_MS: {
    group: 'bulk',
    means: 'Time of a synchronous HTTP operation. Items not done by then fail.',
  },
  BULK_MAX_CHUNKS: {
    group: 'bulk',
    means: 'Chunks one bulk worker processes at once, HTTP operations aside.',
  },
  BULK_CHUNK_ITEMS: { group: 'bulk', means: 'Items of one chunk, HTTP operations aside.' },
  BULK_MAX_HTTP_CHUNKS: {
    group: 'bulk',
    means:
      'Chunks (of 50 items) of HTTP operations at once; a quarter for one job, half for one account at most.',
  },
  BULK_HTTP_CONCURRENCY: { group: 'bulk', means: 'Requests at once for one HTTP chunk.' },
  BULK_HELD_ROW_SECONDS: {
    group: 'bulk',
    means: 'How long a job retries records that other transactions hold, before they fail.',
  },
  BULK_HANDLER_AWAY_SECONDS: {
    group: 'bulk',
    means: 'How long a job pauses for a handler that is away, before it fails.',
  },
  BULK_HANDLER_SECRETS: {
    group: 'bulk',
    means: 'Signs requests to handlers: a `whsec_…` secret, or two during a rotation, with a comma.',
  },
  BULK_MAX_SLOT_LAG_MB: { group: 'bulk', means: 'Jobs slow down when the slot lags more than this.' },
  BULK_MAX_REPLAY_LAG_MS: { group: 'bulk', means: 'Jobs slow down when a standby lags more than this.' },
  BULK_MAX_BLOCKED_SESSIONS: {
    group: 'bulk',
    means: 'Jobs slow down when more sessions wait for an operation’s locks.',
  },
  BULK_MAX_ACTIVE_SESSIONS: {
    group: 'bulk',
    means: 'Jobs slow down when more sessions of the source are active.',
  },
  BULK_MAX_UNRECORDED_CHANGES: {
    group: 'bulk',
    means: 'Jobs slow down when more changes wait over a second to be recorded.',
  },
  BULK_MAX_CHUNK_MS: { group: 'bulk', means: 'Jobs slow down when the source needs longer for a chunk.' },

  TANDEM_HOME: {
    group: 'local',
    means: 'Data, logs and keys of the local stack.',
    defaultText: '`.tandem`',
    readBy: 'command line',
  },
  JAVA_HOME: {
    group: 'local',
    means: 'The Java to run Kafka and the registry with.',
    defaultText: 'the oldest that will do',
    readBy: 'command line',
  },
  TANDEM_MAVEN_REPOSITORY: {
    group: 'local',
    means: 'A Maven repository to download Kafka and the registry from, without Maven: `https://host/path`.',
    defaultText: 'Maven’s settings, or Maven Central',
    readBy: 'command line',
  },
  XDG_CACHE_HOME: {
    group: 'local',
    means: 'Where downloads are kept, in `tandem`.',
    defaultText: '`~/.cache`',
    readBy: 'command line',
  },
} as const satisfies Record<string, SettingText>;

export type SettingName = keyof typeof SETTINGS;
