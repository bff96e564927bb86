import got, { type RequestError } from 'got';
import { z } from 'zod';
import type { Secret, SecretUrl } from '../../runtime/env.ts';
import { isCertificateCode } from '../../runtime/transient.ts';
import { type Token, TokenError } from './token.ts';

/** A token from an OAuth server, by the grant of client credentials (RFC 6749). */
export interface OAuthLogin {
  readonly mechanism: 'oauthbearer';
  readonly tokenUrl: SecretUrl;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly scope: string | undefined;
  /** Sent to the broker beside the token (RFC 7628). */
  readonly extensions: Readonly<Record<string, string>>;
}

/** The client gives a whole login 10 s. */
const LIMIT_MS = 8_000;

/** A token of 100 kB fits in no request. */
const MAX_RESPONSE_BYTES = 100_000;

const TOO_MANY_REQUESTS = 429;
const SERVER_FAULT = 500;

const granted = z.object({
  /** Printable, as it goes into a line of its own. */
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  expires_in: z.coerce.number().nonnegative().default(0),
});

const refused = z.object({ error: z.string(), error_description: z.string().optional() });

/**
 * Asks for a token by client credentials (RFC 6749, 4.4).
 *
 * @throws TokenError that names the server and the settings to check
 */
export async function fetchOAuthToken({
  tokenUrl,
  clientId,
  clientSecret,
  scope,
}: OAuthLogin): Promise<Token> {
  const url = new URL(tokenUrl.reveal());
  const server = `the token server ${url.origin}${url.pathname}`;
  const { status, body } = await post(url, server, {
    form: { grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) },
    authorization: `Basic ${toBasic(clientId, clientSecret.reveal())}`,
  });
  const json = parseJson(body);
  if (status === 200) {
    const found = granted.safeParse(json);
    if (found.success) return { value: found.data.access_token, lifeMs: found.data.expires_in * 1_000 };
    throw new TokenError(`${server} gives no access_token: check KAFKA_OAUTH_TOKEN_URL`, { isOutage: false });
  }
  if (status === TOO_MANY_REQUESTS || status >= SERVER_FAULT) {
    throw new TokenError(`${server} has a fault: it responds ${status}`, { isOutage: true });
  }
  const reason = refused.safeParse(json);
  if (!reason.success) {
    throw new TokenError(`${server} responds ${status}: check KAFKA_OAUTH_TOKEN_URL`, { isOutage: false });
  }
  const { error, error_description: description } = reason.data;
  const text = description === undefined ? error : `${error}: ${description}`;
  throw new TokenError(
    `${server} refuses client ${clientId} (${text}): check KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET and KAFKA_OAUTH_SCOPE`,
    { isOutage: false },
  );
}

interface TokenRequest {
  readonly form: Readonly<Record<string, string>>;
  readonly authorization: string;
}

async function post(url: URL, server: string, { form, authorization }: TokenRequest) {
  const tooLong = new AbortController();
  try {
    const request = got.post(url, {
      form,
      headers: { authorization, accept: 'application/json' },
      timeout: { request: LIMIT_MS },
      retry: { limit: 0 },
      // It would send the secret on.
      followRedirect: false,
      throwHttpErrors: false,
      signal: tooLong.signal,
    });
    request.on('downloadProgress', ({ transferred }: { transferred: number }) => {
      if (transferred > MAX_RESPONSE_BYTES) tooLong.abort();
    });
    const { statusCode, body } = await request;
    return { status: statusCode, body };
  } catch (error) {
    if (tooLong.signal.aborted) {
      throw new TokenError(`${server} responds with too much: check KAFKA_OAUTH_TOKEN_URL`, {
        isOutage: false,
      });
    }
    // Without its cause, which holds the request and so the secret.
    const { code, message } = error as RequestError;
    if (isCertificateCode(code)) {
      throw new TokenError(
        `${server} has a certificate that is not accepted (${message}): name its authority in NODE_EXTRA_CA_CERTS`,
        { isOutage: false },
      );
    }
    throw new TokenError(`${server} does not respond (${message}): check KAFKA_OAUTH_TOKEN_URL`, {
      isOutage: true,
    });
  }
}

/** RFC 6749, 2.3.1: both are encoded as in a form. */
function toBasic(id: string, secret: string): string {
  return Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
