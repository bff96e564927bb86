import { SetupError } from '../runtime/errors.ts';
import { causesOf, isCertificateCode } from '../runtime/transient.ts';
import type { KafkaConfig } from './client-config.ts';
import type { KafkaAdmin, KafkaClient } from './kafka-client.ts';
import { nameOf, settingsOf } from './login/login.ts';
import { TokenError } from './login/token.ts';

/**
 * An admin client that is connected: the first thing that a service does with Kafka, so it reports what is wrong with the login.
 *
 * @throws SetupError when the broker refuses the login, or TLS fails by a certificate
 */
export async function connectAdmin(kafka: KafkaClient, config: KafkaConfig): Promise<KafkaAdmin> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return admin;
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    const reason = describeRefusal(error, config);
    throw reason === undefined ? error : new SetupError(reason);
  }
}

/** One line that says what an operator has to set; undefined when the failure is no refusal. */
export function describeRefusal(
  error: unknown,
  { brokers, sasl }: Pick<KafkaConfig, 'brokers' | 'sasl'>,
): string | undefined {
  const where = `Kafka at ${brokers.join(',')}`;
  const mechanism = sasl?.mechanism ?? 'none';
  const causes = causesOf(error);
  const tokenError = causes.find((cause) => cause instanceof TokenError);
  if (tokenError !== undefined) return `${where} takes a token: ${tokenError.message}`;
  for (const { name, message, ...rest } of causes.map(toPlain)) {
    if (rest.type === 'ILLEGAL_SASL_STATE') {
      return `${where} takes no login there: set KAFKA_SASL_MECHANISM=none, or name the port that takes one in KAFKA_BROKERS`;
    }
    if (rest.type === 'UNSUPPORTED_SASL_MECHANISM') {
      return `${where} does not support KAFKA_SASL_MECHANISM=${mechanism}`;
    }
    if (name === 'KafkaJSSASLAuthenticationError' && sasl !== undefined) {
      const reason = 'username' in sasl ? '' : ` (${message})`;
      return `${where} refuses the login of ${nameOf(sasl)}${reason}: check ${settingsOf(sasl)}`;
    }
    if (isCertificateCode(rest.code)) {
      return `${where}: the broker's certificate is not accepted (${message}): check KAFKA_SSL_CA_FILE and the host names in KAFKA_BROKERS`;
    }
    if (rest.code === 'EPROTO' || rest.code.startsWith('ERR_SSL_')) {
      return `${where}: TLS fails (${rest.code}): check KAFKA_SSL, and that the port in KAFKA_BROKERS is the one for TLS`;
    }
  }
  return undefined;
}

function toPlain(error: Error) {
  const { type, code } = error as { type?: unknown; code?: unknown };
  return { name: error.name, message: error.message, type: String(type), code: String(code) };
}
