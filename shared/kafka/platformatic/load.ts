import type { BaseOptions } from '@platformatic/kafka';
import { SetupError } from '../../runtime/errors.ts';
import { backoffMs } from '../../runtime/retry.ts';
import { type KafkaConfig, readTls } from '../client-config.ts';
import type { RetrySettings } from '../kafka-client.ts';
import type { SaslConfig } from '../login/login.ts';

export type Platformatic = typeof import('@platformatic/kafka');

let loading: Promise<Platformatic> | undefined;

/** It takes tens of megabytes, so only who has chosen it loads it. */
export function loadPlatformatic(): Promise<Platformatic> {
  loading ??= import('@platformatic/kafka');
  return loading;
}

/** By major version of Node, the first minor one that the package runs on. A later major runs it. */
const NODE_SINCE: Readonly<Record<number, number>> = { 22: 22, 24: 6 };
const NODE_NEWEST_LISTED = 24;

/** @throws SetupError when this Node is too old */
export function requireNode(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const since = NODE_SINCE[major];
  if (major > NODE_NEWEST_LISTED || (since !== undefined && minor >= since)) return;
  throw new SetupError(
    `KAFKA_CLIENT=platformatic needs Node 24.6 or newer, or 22.22, and this is ${version}: start with \`npm start\`, or unset KAFKA_CLIENT`,
  );
}

const RETRY = { initialRetryTime: 20, maxRetryTime: 2_000, retries: 12 };

/** Brokers, TLS and login, with the patience that kafkajs is given. @throws SetupError as `readTls` does */
export function toBaseOptions(
  config: KafkaConfig,
  clientId: string,
  { initialRetryTime, maxRetryTime, retries }: RetrySettings = {},
): BaseOptions {
  const wait = {
    initialMs: initialRetryTime ?? RETRY.initialRetryTime,
    maxMs: maxRetryTime ?? RETRY.maxRetryTime,
  };
  const tls = readTls(config);
  return {
    clientId,
    bootstrapBrokers: [...config.brokers],
    ...(tls === undefined ? {} : { tls, tlsServerName: true }),
    ...(config.sasl === undefined ? {} : { sasl: toSasl(config.sasl) }),
    connectTimeout: 5_000,
    requestTimeout: 30_000,
    retries: retries ?? RETRY.retries,
    retryDelay: (_client, _operation, attempt) => backoffMs(attempt - 1, wait),
    autocreateTopics: false,
    // What has changed is asked again when a broker says so.
    metadataMaxAge: 60_000,
  };
}

const MECHANISMS = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
} as const;

/** @throws SetupError for a login by token, which `readKafkaConfig` refuses first */
function toSasl(login: SaslConfig): NonNullable<BaseOptions['sasl']> {
  if (!('password' in login)) {
    throw new SetupError(
      `KAFKA_CLIENT=platformatic does not log in by ${login.mechanism}: unset KAFKA_CLIENT`,
    );
  }
  const { mechanism, username, password } = login;
  return { mechanism: MECHANISMS[mechanism], username, password: password.reveal() };
}
