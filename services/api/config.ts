import { type Env, envReader, type Secret } from '../../shared/runtime/env.ts';
import { isTooShort } from '../../shared/runtime/secret-box.ts';
import { type BaseConfig, readBaseConfig } from '../../shared/service/base-config.ts';

const BASE = [
  'sourceUrl',
  'controlUrl',
  'controlMigrations',
  'kafka',
  'schemaRegistryUrl',
  'storageUrl',
  'catalogPath',
  'topicPrefix',
  'topicSettings',
  'slotName',
  'slotThresholds',
  'secretKeys',
  'handlerSecrets',
  'allowNetworks',
  'allowHttp',
  'eventRetentionDays',
  'tracing',
  'host',
] as const;

export interface ApiConfig extends BaseConfig<(typeof BASE)[number]> {
  readonly port: number;
  /** The public URL of this API; undefined: its own address. */
  readonly publicUrl: string | undefined;
  readonly adminKey: Secret;
  /** Origins whose pages may call the API from a browser; `*` for all. */
  readonly corsOrigins: readonly string[];
  /** Where visitors get a new link when their dashboard session has ended. */
  readonly portalRefreshUrl: string | undefined;
  /** Origins that may embed the dashboard in a frame. */
  readonly portalFrameAncestors: readonly string[];
  readonly portalIdleSeconds: number;
  readonly portalSessionSeconds: number;
  readonly feedStallSeconds: number;
  readonly urlLifetimeSeconds: number;
  readonly maxBodyBytes: number;
  readonly requestsPerSecond: number;
  /** 0: no limit. */
  readonly requestsPerMinute: number;
  readonly maxOpenRequests: number;
  readonly maxDownloads: number;
  readonly maxQueuedExports: number;
  readonly maxQueuedBulk: number;
  readonly syncHandlerMs: number;
}

const LEAST_ADMIN_KEY_CHARACTERS = 16;

const MINUTE_SECONDS = 60;
const DAY_SECONDS = 86_400;

/** @throws SetupError naming everything that is missing or wrong */
export function readApiConfig(env: Env, read = envReader(env)): ApiConfig {
  const publicUrl = read.optional('PUBLIC_URL')?.replace(/\/+$/, '');
  if (publicUrl !== undefined && !/^https?:\/\/[^/?#]+[^?#]*$/.test(publicUrl)) {
    read.refuse(`PUBLIC_URL must be an http or https URL without query, not "${publicUrl}"`);
  }
  const adminKey = read.secret('ADMIN_KEY');
  if (isTooShort(adminKey, LEAST_ADMIN_KEY_CHARACTERS)) {
    read.refuse(
      `ADMIN_KEY must have at least ${LEAST_ADMIN_KEY_CHARACTERS} characters; make one with: openssl rand -hex 32`,
    );
  }
  if (/[^\x21-\x7e]/.test(adminKey.reveal())) {
    read.refuse('ADMIN_KEY must be printable ASCII without spaces, since it travels in a header');
  }
  const portalRefreshUrl = read.optional('PORTAL_REFRESH_URL');
  if (portalRefreshUrl !== undefined && !/^https?:\/\/[^/\s]+\S*$/.test(portalRefreshUrl)) {
    read.refuse(`PORTAL_REFRESH_URL must be an http or https URL, not "${portalRefreshUrl}"`);
  }
  const portalFrameAncestors = read.list('PORTAL_FRAME_ANCESTORS', []);
  for (const origin of portalFrameAncestors) {
    if (!/^https?:\/\/[\w.*-]+(:\d+)?$/.test(origin)) {
      read.refuse(
        `PORTAL_FRAME_ANCESTORS must list origins such as https://app.example.com, not "${origin}"`,
      );
    }
  }
  const corsOrigins = read.list('CORS_ORIGINS', []);
  for (const origin of corsOrigins) {
    if (origin !== '*' && URL.parse(origin)?.origin !== origin) {
      read.refuse(`CORS_ORIGINS must list origins such as https://app.example.com, or be *, not "${origin}"`);
    }
  }
  return read.done({
    ...readBaseConfig(read, BASE),
    port: read.integer('PORT', { default: 8080, min: 0, max: 65_535 }),
    publicUrl,
    adminKey,
    portalRefreshUrl,
    portalFrameAncestors,
    corsOrigins,
    portalIdleSeconds: read.integer('PORTAL_IDLE_SECONDS', { default: 1_800, min: 60, max: DAY_SECONDS }),
    portalSessionSeconds: read.integer('PORTAL_SESSION_SECONDS', {
      default: 8 * 3_600,
      min: 5 * MINUTE_SECONDS,
      max: 30 * DAY_SECONDS,
    }),
    feedStallSeconds: read.integer('FEED_STALL_SECONDS', { default: 120, min: 20, max: 86_400 }),
    // S3 signs no longer than seven days, and a link must not change its meaning with the storage.
    urlLifetimeSeconds: read.integer('DOWNLOAD_URL_SECONDS', {
      default: DAY_SECONDS,
      min: MINUTE_SECONDS,
      max: 7 * DAY_SECONDS,
    }),
    maxBodyBytes: read.integer('MAX_BODY_BYTES', {
      default: 256 * 1_024,
      min: 1_024,
      max: 64 * 1_024 * 1_024,
    }),
    requestsPerSecond: read.integer('API_REQUESTS_PER_SECOND', { default: 300, min: 1, max: 100_000 }),
    requestsPerMinute: read.integer('API_REQUESTS_PER_MINUTE', { default: 6_000, min: 0, max: 1_000_000 }),
    maxOpenRequests: read.integer('API_MAX_OPEN_REQUESTS', { default: 50, min: 1, max: 4_000 }),
    maxDownloads: read.integer('API_MAX_DOWNLOADS', { default: 16, min: 1, max: 4_000 }),
    maxQueuedExports: read.integer('MAX_QUEUED_EXPORTS', { default: 20, min: 1, max: 10_000 }),
    maxQueuedBulk: read.integer('MAX_QUEUED_BULK', { default: 100, min: 1, max: 10_000 }),
    // The control store ends a transaction that is idle for 30 s, and the request's own stays open until the response.
    syncHandlerMs: read.integer('BULK_SYNC_HANDLER_MS', { default: 20_000, min: 100, max: 25_000 }),
  });
}
