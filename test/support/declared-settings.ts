import { readApiConfig } from '../../services/api/config.ts';
import { readBulkConfig } from '../../services/bulk/config.ts';
import { readCaptureConfig } from '../../services/capture/config.ts';
import { readDispatcherConfig } from '../../services/dispatcher/config.ts';
import { readExtractorConfig } from '../../services/extractor/config.ts';
import { readWriterConfig } from '../../services/writer/config.ts';
import { type Env, type EnvReader, envReader } from '../../shared/runtime/env.ts';
import type { SettingName } from '../../shared/runtime/settings.ts';

/** A setting as one service declares it by reading it. */
export interface DeclaredSetting {
  readonly name: SettingName;
  readonly service: string;
  /** Undefined when it has none and must be set; null when the service does without. */
  readonly fallback: string | null | undefined;
  readonly min?: number;
  readonly max?: number;
  readonly allowed?: readonly string[];
}

/** How each service reads its settings. */
export const SERVICE_CONFIGS: Readonly<Record<string, (env: Env, read?: EnvReader) => unknown>> = {
  api: readApiConfig,
  bulk: readBulkConfig,
  capture: readCaptureConfig,
  dispatcher: readDispatcherConfig,
  extractor: readExtractorConfig,
  writer: readWriterConfig,
};

/** What no service does without, and what makes one read settings that it otherwise passes over. */
const ENOUGH: Env = {
  DATABASE_URL: 'postgres://source',
  CONTROL_DATABASE_URL: 'postgres://control',
  KAFKA_BROKERS: '127.0.0.1:9092',
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: 'user',
  KAFKA_SASL_PASSWORD: 'a password',
  SCHEMA_REGISTRY_URL: 'http://127.0.0.1:8081',
  STORAGE_URL: 'file:///storage',
  CATALOG: 'catalog.yaml',
  ADMIN_KEY: 'k'.repeat(32),
  SECRET_KEY: 's'.repeat(32),
};

/** Lets every service read its settings, and notes what it asks for. */
export function declaredSettings(): DeclaredSetting[] {
  const declared: DeclaredSetting[] = [];
  for (const [service, readConfig] of Object.entries(SERVICE_CONFIGS)) {
    readConfig(
      ENOUGH,
      notingReader((setting) => declared.push({ service, ...setting })),
    );
  }
  return declared;
}

function notingReader(note: (setting: Omit<DeclaredSetting, 'service'>) => void): EnvReader {
  const read = envReader(ENOUGH);
  return {
    ...read,
    string(name, fallback) {
      note({ name, fallback });
      return read.string(name, fallback);
    },
    optional(name) {
      note({ name, fallback: null });
      return read.optional(name);
    },
    secret(name, otherwise) {
      note({ name, fallback: otherwise });
      return read.secret(name, otherwise);
    },
    integer(name, options) {
      const { default: fallback, min, max } = options;
      note({
        name,
        fallback: String(fallback),
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
      });
      return read.integer(name, options);
    },
    boolean(name, fallback) {
      note({ name, fallback: String(fallback) });
      return read.boolean(name, fallback);
    },
    list(name, fallback) {
      const text = fallback === undefined ? undefined : fallback.length === 0 ? null : fallback.join(',');
      note({ name, fallback: text });
      return read.list(name, fallback);
    },
    oneOf(name, allowed, fallback) {
      note({ name, fallback, allowed });
      return read.oneOf(name, allowed, fallback);
    },
    url(name) {
      note({ name, fallback: undefined });
      return read.url(name);
    },
  };
}
