import type { SettingText } from './setting-text.ts';

/** Of what every service connects to and writes: databases, Kafka, logs, traces, and the local stack. */
export const SETTINGS_OF_PARTS = {
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
