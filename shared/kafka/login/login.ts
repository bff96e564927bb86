import type { Mechanism, SASLOptions } from 'kafkajs';
import type { EnvReader, Secret, SecretUrl } from '../../runtime/env.ts';
import type { Log } from '../../runtime/log.ts';
import { bearerMechanism } from './bearer.ts';
import { type AwsLogin, mskTokens, regionOf } from './msk-token.ts';
import { fetchOAuthToken, type OAuthLogin } from './oauth-token.ts';
import { keepToken, type Token } from './token.ts';

/** How a client logs in to Kafka. */
export type SaslConfig = PasswordLogin | OAuthLogin | AwsLogin;

interface PasswordLogin {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: Secret;
}

const MECHANISMS = ['none', 'plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer', 'aws_iam'] as const;

/** `KAFKA_SASL_MECHANISM` with what belongs to it; undefined for `none`. */
export function readLogin(
  read: EnvReader,
  { brokers, ssl }: { readonly brokers: readonly string[]; readonly ssl: boolean },
): SaslConfig | undefined {
  const mechanism = read.oneOf('KAFKA_SASL_MECHANISM', MECHANISMS, 'none');
  switch (mechanism) {
    case 'none':
      return undefined;
    case 'oauthbearer':
      return {
        mechanism,
        tokenUrl: readTokenUrl(read),
        clientId: read.string('KAFKA_OAUTH_CLIENT_ID'),
        clientSecret: read.secret('KAFKA_OAUTH_CLIENT_SECRET'),
        scope: read.optional('KAFKA_OAUTH_SCOPE'),
        extensions: readExtensions(read),
      };
    case 'aws_iam': {
      if (!ssl) read.refuse('KAFKA_SSL must be true with KAFKA_SASL_MECHANISM=aws_iam');
      const region = read.optional('KAFKA_AWS_REGION') ?? regionOf(brokers);
      if (region === undefined) {
        read.refuse(
          'KAFKA_AWS_REGION must be set, because the names in KAFKA_BROKERS do not show the region',
        );
      }
      return { mechanism, region: region ?? '' };
    }
    default:
      return {
        mechanism,
        username: read.string('KAFKA_SASL_USERNAME'),
        password: read.secret('KAFKA_SASL_PASSWORD'),
      };
  }
}

function readTokenUrl(read: EnvReader): SecretUrl {
  const url = read.url('KAFKA_OAUTH_TOKEN_URL');
  const protocol = URL.parse(url.reveal())?.protocol;
  if (protocol !== undefined && protocol !== 'https:' && protocol !== 'http:') {
    read.refuse('KAFKA_OAUTH_TOKEN_URL must begin with https:// or http://');
  }
  return url;
}

/** As RFC 7628 has them: a name of letters, which is not `auth`, and a value that can be printed. */
const EXTENSION = /^(?!auth=)([A-Za-z]+)=([\x20-\x7e]+)$/;

function readExtensions(read: EnvReader): Record<string, string> {
  const entries = read.list('KAFKA_OAUTH_EXTENSIONS', []).flatMap((text) => {
    const [, name, value] = EXTENSION.exec(text) ?? [];
    if (name !== undefined && value !== undefined) return [[name, value] as const];
    read.refuse(`KAFKA_OAUTH_EXTENSIONS must list pairs like logicalCluster=lkc-1, not "${text}"`);
    return [];
  });
  return Object.fromEntries(entries);
}

/** A new token of this login; undefined for one by password. */
export function tokenFetcher(login: SaslConfig): (() => Promise<Token>) | undefined {
  if (login.mechanism === 'oauthbearer') return () => fetchOAuthToken(login);
  if (login.mechanism === 'aws_iam') return mskTokens(login);
  return undefined;
}

/** What the client takes. A password is a secret until here, so that a logged configuration shows none. */
export function toClientLogin(login: SaslConfig, log: Log): SASLOptions | Mechanism {
  const fetchToken = tokenFetcher(login);
  if (fetchToken !== undefined) {
    const extensions = login.mechanism === 'oauthbearer' ? login.extensions : {};
    return bearerMechanism(keepToken(fetchToken, log), extensions);
  }
  const { mechanism, username, password } = login as PasswordLogin;
  return { mechanism, username, password: password.reveal() } as SASLOptions;
}

/** Whose login it is, as an operator knows it. */
export function nameOf(login: SaslConfig): string {
  if (login.mechanism === 'oauthbearer') return `client ${login.clientId}`;
  if (login.mechanism === 'aws_iam') return 'the AWS role';
  return login.username;
}

/** The settings to check when a broker refuses the login. */
export function settingsOf(login: SaslConfig): string {
  switch (login.mechanism) {
    case 'oauthbearer':
      return 'KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_SCOPE and KAFKA_OAUTH_EXTENSIONS, the issuer and audience that the broker expects, and both clocks';
    case 'aws_iam':
      return 'the role of this machine, its policy (kafka-cluster:Connect), KAFKA_AWS_REGION and the clock';
    default:
      return `KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM, which is ${login.mechanism}`;
  }
}
