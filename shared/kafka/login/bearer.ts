import kafkajs, { type Mechanism } from 'kafkajs';
import { TokenError, type TokenSource } from './token.ts';

// Node can't see this name among the package's exports, which are CommonJS; only the whole of them.
const { KafkaJSError, KafkaJSSASLAuthenticationError } = kafkajs;

const SEPARATOR = '\u0001';

/**
 * SASL/OAUTHBEARER (RFC 7628). The client's own takes a refused token for a login, because the broker says why before it
 * fails: everything after is then told as a broker that takes no login.
 */
export function bearerMechanism(
  tokens: TokenSource,
  extensions: Readonly<Record<string, string>>,
): Mechanism {
  const pairs = Object.entries(extensions).map(([name, value]) => `${name}=${value}${SEPARATOR}`);
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({
      async authenticate() {
        const token = await tokens.get().catch((error: unknown) => {
          const { message: text } = error as Error;
          // The client tells from this whether to try again.
          const retriable = error instanceof TokenError && error.isOutage;
          throw Object.assign(new KafkaJSError(text, { retriable }), { cause: error });
        });
        const first = `n,,${SEPARATOR}auth=Bearer ${token}${SEPARATOR}${pairs.join('')}${SEPARATOR}`;
        let reason = '';
        try {
          reason = (await saslAuthenticate({ request: message(first), response: TEXT })) || '';
          if (reason === '') return;
          // The broker has said why, and fails the login once it is told that this was heard.
          await saslAuthenticate({ request: message(SEPARATOR), response: TEXT });
        } catch (error) {
          const { type, message: text } = error as { type?: unknown; message: string };
          // Anything else, such as a lost connection, says nothing about the token.
          if (type !== 'SASL_AUTHENTICATION_FAILED') throw error;
          reason ||= text;
        }
        tokens.forget();
        throw new LoginRefused(reason);
      },
    }),
  };
}

/** Its types leave out that it takes a message, as all errors of the client do. */
const LoginRefused = KafkaJSSASLAuthenticationError as unknown as new (message: string) => Error;

/** The client wants, and gives, the length in front. */
const LENGTH_BYTES = 4;

function message(text: string) {
  return {
    encode() {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeInt32BE(bytes.length);
      return Buffer.concat([length, bytes]);
    },
  };
}

const TEXT = {
  decode: (raw: Buffer) => raw.subarray(LENGTH_BYTES),
  parse: (data: Buffer) => data.toString(),
};
