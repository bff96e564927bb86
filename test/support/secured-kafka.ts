import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeCluster } from '../../deploy/local/kafka.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { openOwnKafka } from './own-kafka.ts';

/** A broker that takes TLS, and SCRAM or a token, from clients, and whose users may do nothing that no ACL allows. */
export interface SecuredKafka extends AsyncDisposable {
  readonly certificates: Certificates;
  /** Where clients log in. */
  readonly brokers: string;
  /** For the brokers themselves: without TLS and login, and with all rights. */
  readonly internalBrokers: string;
  /** `admin` has all rights, `tandem` has none yet. */
  readonly passwords: Readonly<Record<'admin' | 'tandem', string>>;
  /** The settings of a service for one of the users. */
  env(user: 'admin' | 'tandem'): Record<string, string>;
}

const PREFERRED_PORT = 19_292;

const TOKEN_SESSION_MS = 16_000;

export async function openSecuredKafka(): Promise<SecuredKafka> {
  await using unlessStarted = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'tandem-secured-'));
  unlessStarted.defer(() => rmSync(directory, { recursive: true, force: true }));
  const certificates = makeCertificates(directory, 'tandem');
  const store = join(directory, 'server-store.pem');
  const { server } = certificates;
  writeFileSync(store, readFileSync(server.key, 'utf8') + readFileSync(server.cert, 'utf8'), { mode: 0o600 });
  const passwords = { admin: randomBytes(12).toString('hex'), tandem: randomBytes(12).toString('hex') };
  const [port, internalPort, controllerPort] = [
    await choosePort(PREFERRED_PORT),
    await choosePort(PREFERRED_PORT + 1),
    await choosePort(PREFERRED_PORT + 2),
  ];
  const internalBrokers = `127.0.0.1:${internalPort}`;
  unlessStarted.use(
    await openOwnKafka({
      port,
      controllerPort,
      settings: {
        listeners: `SASL_SSL://127.0.0.1:${port},INTERNAL://${internalBrokers},CONTROLLER://127.0.0.1:${controllerPort}`,
        'advertised.listeners': `SASL_SSL://localhost:${port},INTERNAL://${internalBrokers}`,
        'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'inter.broker.listener.name': 'INTERNAL',
        'sasl.enabled.mechanisms': 'SCRAM-SHA-512,OAUTHBEARER',
        'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config':
          'org.apache.kafka.common.security.scram.ScramLoginModule required;',
        // Takes tokens that nobody signed, as long as they are valid and have this scope.
        'listener.name.sasl_ssl.oauthbearer.sasl.jaas.config':
          'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredValidatorRequiredScope="kafka" unsecuredLoginStringClaim_sub="broker";',
        // A session of a token lasts this long at most, and the client has to log in again before.
        'listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms': TOKEN_SESSION_MS,
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': store,
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS;User:admin',
      },
      formatArguments: Object.entries(passwords).flatMap(([name, password]) => [
        '--add-scram',
        `SCRAM-SHA-512=[name=${name},password=${password}]`,
      ]),
      probe: () => describeCluster(internalBrokers),
    }),
  );
  const owned = unlessStarted.move();
  const brokers = `localhost:${port}`;
  return {
    certificates,
    brokers,
    internalBrokers,
    passwords,
    env: (user) => ({
      KAFKA_BROKERS: brokers,
      KAFKA_SSL: 'true',
      KAFKA_SSL_CA_FILE: certificates.authority,
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: user,
      KAFKA_SASL_PASSWORD: passwords[user],
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
