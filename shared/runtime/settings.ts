import type { SettingText } from './setting-text.ts';
import { SETTINGS_OF_PARTS } from './settings-of-parts.ts';

/**
 * Every setting there is. A service cannot read one that is not here, and `deploy/configuration.md` is made from it
 * (`test/configuration.test.ts`).
 */
export const SETTINGS = {
  ...SETTINGS_OF_PARTS,

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
} as const satisfies Record<string, SettingText>;

export type SettingName = keyof typeof SETTINGS;
