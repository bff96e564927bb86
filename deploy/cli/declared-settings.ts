import { readApiConfig } from '../../services/api/config.ts';
import { readBulkConfig } from '../../services/bulk/config.ts';
import { readCaptureConfig } from '../../services/capture/config.ts';
import { readDispatcherConfig } from '../../services/dispatcher/config.ts';
import { readExtractorConfig } from '../../services/extractor/config.ts';
import { readWriterConfig } from '../../services/writer/config.ts';
import { type Env, type EnvReader, envReader } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { isSecretName } from '../../shared/runtime/redact.ts';
import type { SettingName } from '../../shared/runtime/settings.ts';

/** A setting as one service declares it by reading it. */
export interface DeclaredSetting {
  readonly name: SettingName;
  readonly service: string;
  /** Whether its value must not be shown; of a URL, its login. */
  readonly kind: 'plain' | 'secret' | 'url';
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

/** What a service declares, and what is wrong with the settings that it was given. */
export interface ServiceSettings {
  readonly service: string;
  readonly declared: readonly DeclaredSetting[];
  /** Each begins with the name of the setting. */
  readonly problems: readonly string[];
}

/** Lets every service read its settings, and notes what it asks for. A setting that none would read with these is not noted. */
export function readServiceSettings(env: Env): ServiceSettings[] {
  return Object.entries(SERVICE_CONFIGS).map(([service, readConfig]) => {
    const declared: DeclaredSetting[] = [];
    const read = notingReader(env, (setting) => {
      if (!declared.some(({ name }) => name === setting.name)) declared.push({ service, ...setting });
    });
    try {
      readConfig(env, read);
      return { service, declared, problems: [] };
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      return { service, declared, problems: error.findings };
    }
  });
}

function notingReader(env: Env, note: (setting: Omit<DeclaredSetting, 'service'>) => void): EnvReader {
  const read = envReader(env);
  const plain = (setting: Omit<DeclaredSetting, 'service' | 'kind'>) =>
    note({ ...setting, kind: isSecretName(setting.name) ? 'secret' : 'plain' });
  return {
    ...read,
    string(name, fallback) {
      plain({ name, fallback });
      return read.string(name, fallback);
    },
    optional(name) {
      plain({ name, fallback: null });
      return read.optional(name);
    },
    secret(name, otherwise) {
      // One that has a URL in it shows more than that it is set, as the services' logs do not.
      note({ name, fallback: otherwise, kind: name.endsWith('_URL') ? 'url' : 'secret' });
      return read.secret(name, otherwise);
    },
    integer(name, options) {
      const { default: fallback, min, max } = options;
      plain({
        name,
        fallback: String(fallback),
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
      });
      return read.integer(name, options);
    },
    boolean(name, fallback) {
      plain({ name, fallback: String(fallback) });
      return read.boolean(name, fallback);
    },
    list(name, fallback) {
      const text = fallback === undefined ? undefined : fallback.length === 0 ? null : fallback.join(',');
      plain({ name, fallback: text });
      return read.list(name, fallback);
    },
    oneOf(name, allowed, fallback) {
      plain({ name, fallback, allowed });
      return read.oneOf(name, allowed, fallback);
    },
    url(name) {
      note({ name, fallback: undefined, kind: 'url' });
      return read.url(name);
    },
  };
}
