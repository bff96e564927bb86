import { readFileSync } from 'node:fs';
import type { EnvReader } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { readLogin, type SaslConfig } from './login/login.ts';

/**
 * `plain`: kafkajs by its public interface alone; `tuned`: with the parts of `internals/`; `platformatic`: `@platformatic/kafka`.
 * All write and read the same records, and members of one group may differ.
 */
export type KafkaClientKind = (typeof CLIENT_KINDS)[number];

const CLIENT_KINDS = ['tuned', 'plain', 'platformatic'] as const;

export interface KafkaConfig {
  client: KafkaClientKind;
  brokers: readonly string[];
  ssl: boolean;
  /** Paths of PEM files. */
  tls?: TlsFiles;
  sasl: SaslConfig | undefined;
}

interface TlsFiles {
  /** Authorities in place of Node's own list. */
  readonly ca: string | undefined;
  /** Of this client, for a broker that asks for one. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** `KAFKA_BROKERS`, `KAFKA_CLIENT`, and for a secured cluster `KAFKA_SSL` and `KAFKA_SASL_MECHANISM` with what belongs to them. */
export function readKafkaConfig(read: EnvReader): KafkaConfig {
  const brokers = read.list('KAFKA_BROKERS');
  const ssl = read.boolean('KAFKA_SSL', false);
  const tls = {
    ca: read.optional('KAFKA_SSL_CA_FILE'),
    cert: read.optional('KAFKA_SSL_CERT_FILE'),
    key: read.optional('KAFKA_SSL_KEY_FILE'),
  };
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    read.refuse('KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE must be set together');
  }
  const client = read.oneOf('KAFKA_CLIENT', CLIENT_KINDS, 'tuned');
  const sasl = readLogin(read, { brokers, ssl });
  if (client === 'platformatic' && sasl !== undefined && !('password' in sasl)) {
    read.refuse(
      `KAFKA_CLIENT=platformatic logs in by a password, not by ${sasl.mechanism}: unset KAFKA_CLIENT`,
    );
  }
  return { client, brokers, ssl, tls, sasl };
}

/** What Node's TLS takes; undefined without TLS. @throws SetupError when a file can't be read */
export function readTls({ ssl, tls = { ca: undefined, cert: undefined, key: undefined } }: KafkaConfig) {
  if (!ssl) return undefined;
  const readPem = (name: string, path: string | undefined) => {
    if (path === undefined) return {};
    try {
      return { [name]: readFileSync(path, 'utf8') };
    } catch (cause) {
      throw new SetupError(`KAFKA_SSL_${name.toUpperCase()}_FILE can't be read: ${(cause as Error).message}`);
    }
  };
  return { ...readPem('ca', tls.ca), ...readPem('cert', tls.cert), ...readPem('key', tls.key) };
}
