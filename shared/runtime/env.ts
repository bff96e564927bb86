import { SetupError } from './errors.ts';
import { hideFromOutput, maskUrl } from './redact.ts';
import type { SettingName } from './settings.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** A value that must not be logged. `toJSON` keeps it out of every log line by itself, and `redact` out of every error. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
    hideFromOutput(value);
  }
  reveal(): string {
    return this.#value;
  }
  toJSON(): unknown {
    return { set: true };
  }
}

/** For a client that takes the text itself; tests and tools have it in plain. */
export function reveal(value: Secret | string): string {
  return typeof value === 'string' ? value : value.reveal();
}

/** A URL that may hold a login. A log line has it without. */
export class SecretUrl extends Secret {
  override toJSON(): unknown {
    return maskUrl(this.reveal());
  }
}

export interface NumberOptions {
  default: number;
  min?: number;
  max?: number;
}

/**
 * Reads settings and keeps every problem until `done`, so that an operator sees all of them at once.
 * An empty variable counts as absent, as in compose files and `.env`.
 */
export interface EnvReader {
  string(name: SettingName, fallback?: string): string;
  optional(name: SettingName): string | undefined;
  /** @param otherwise the setting to take when this one is not set */
  secret(name: SettingName, otherwise?: SettingName): Secret;
  integer(name: SettingName, options: NumberOptions): number;
  boolean(name: SettingName, fallback: boolean): boolean;
  list(name: SettingName, fallback?: readonly string[]): readonly string[];
  oneOf<const T extends string>(name: SettingName, allowed: readonly T[], fallback: T): T;
  url(name: SettingName): SecretUrl;
  /** Adds what is wrong with a setting that was read, beyond what this reader sees; it starts with the setting's name. */
  refuse(problem: string): void;
  /** Returns the settings. @throws SetupError naming every variable that is missing or wrong */
  done<T>(settings: T): Readonly<T>;
}

export function envReader(env: Env): EnvReader {
  const problems: string[] = [];
  const get = (name: SettingName): string | undefined => {
    const value = env[name]?.trim();
    return value === '' ? undefined : value;
  };
  const need = (name: SettingName, fallback: string | undefined): string => {
    const value = get(name) ?? fallback;
    if (value === undefined) problems.push(`${name} is not set`);
    return value ?? '';
  };
  return {
    string: need,
    optional: get,
    secret: (name, otherwise) => new Secret(need(name, otherwise === undefined ? undefined : get(otherwise))),
    integer(name, { default: fallback, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }) {
      const text = get(name);
      if (text === undefined) return fallback;
      const value = Number(text);
      if (!Number.isInteger(value) || value < min || value > max) {
        problems.push(`${name} must be a whole number from ${min} to ${max}, not "${text}"`);
        return fallback;
      }
      return value;
    },
    boolean(name, fallback) {
      const text = get(name)?.toLowerCase();
      if (text === undefined) return fallback;
      if (['1', 'true', 'yes', 'on'].includes(text)) return true;
      if (['0', 'false', 'no', 'off'].includes(text)) return false;
      problems.push(`${name} must be true or false, not "${text}"`);
      return fallback;
    },
    list(name, fallback) {
      const value = get(name);
      if (value === undefined) {
        if (fallback === undefined) problems.push(`${name} is not set`);
        return fallback ?? [];
      }
      return value
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    },
    oneOf(name, allowed, fallback) {
      const value = get(name);
      if (value === undefined) return fallback;
      const found = allowed.find((item) => item === value);
      if (found === undefined) problems.push(`${name} must be one of ${allowed.join(', ')}, not "${value}"`);
      return found ?? fallback;
    },
    url(name) {
      const value = need(name, undefined);
      // Not shown: what is no URL for a missing bracket may hold a password all the same.
      if (value !== '' && !URL.canParse(value)) problems.push(`${name} is not a URL`);
      return new SecretUrl(value);
    },
    refuse(problem) {
      problems.push(problem);
    },
    done(settings) {
      if (problems.length > 0) throw new SetupError('the settings are not usable', problems);
      return Object.freeze(settings);
    },
  };
}
