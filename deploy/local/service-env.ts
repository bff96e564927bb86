import { fileURLToPath } from 'node:url';
import type { Env } from '../../shared/runtime/env.ts';

/** The catalog of the sample data, for a start that was given none. */
export const SAMPLE_CATALOG = fileURLToPath(new URL('../../schemas/catalogs/documint.yaml', import.meta.url));

export interface ServiceEnvInput {
  /** What the operator has set; it wins over every default here. */
  readonly env: Env;
  /** Where the stack's parts are. */
  readonly stack: Env;
  readonly port: number;
  /** Generated ones, for what the operator has not set. */
  readonly adminKey: string;
  readonly secretKey: string;
}

/** The complete settings of all services on this machine. An empty variable counts as not set. */
export function serviceEnv({ env, stack, port, adminKey, secretKey }: ServiceEnvInput) {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const host = set.HOST ?? '127.0.0.1';
  return {
    HOST: host,
    CATALOG: SAMPLE_CATALOG,
    TOPIC_PREFIX: 'tandem',
    SLOT_NAME: 'tandem',
    PUBLICATION_NAME: 'tandem',
    ADMIN_KEY: adminKey,
    SECRET_KEY: secretKey,
    PUBLIC_URL: localUrl(host, port),
    ...set,
    ...stack,
    PORT: String(port),
  };
}

/** A server that listens on every address is reached here by the loopback one. */
export function localUrl(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
