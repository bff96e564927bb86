import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server of OAuth tokens (RFC 6749, 4.4). Its tokens are JWS that nobody signs, as Kafka takes them where it is told to. */
export interface TokenServer extends AsyncDisposable {
  readonly url: string;
  readonly clientSecret: string;
  /** How many tokens it has given. */
  granted: number;
  /** How it answers from now on; undefined: with a token. */
  answer: { readonly status: number; readonly body: string } | undefined;
  /** What is in the next tokens beside their times. */
  claims: Readonly<Record<string, unknown>>;
  /** The settings of a service. */
  readonly env: Readonly<Record<string, string>>;
}

/** Characters that a form encodes. */
const CLIENT_ID = 'tandem:é';
const CLIENT_SECRET = 'secret-5f0 %+:&';

/** @param lifeSeconds of each token */
export async function openTokenServer(lifeSeconds: number): Promise<TokenServer> {
  const login = [CLIENT_ID, CLIENT_SECRET].map(encodeURIComponent).join(':');
  const wanted = `Basic ${Buffer.from(login).toString('base64')}`;
  const http = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const say = (status: number, text: string) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    if (tokens.answer !== undefined) say(tokens.answer.status, tokens.answer.body);
    else if (body !== 'grant_type=client_credentials&scope=kafka+feed')
      say(400, '{"error":"invalid_request"}');
    else if (request.headers.authorization !== wanted) say(401, '{"error":"invalid_client"}');
    else {
      tokens.granted += 1;
      const token = makeToken({ ...tokens.claims, jti: String(tokens.granted) }, lifeSeconds);
      say(200, JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: lifeSeconds }));
    }
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/token`;
  const tokens: TokenServer = {
    url,
    clientSecret: CLIENT_SECRET,
    granted: 0,
    answer: undefined,
    claims: { sub: 'tandem', scope: 'kafka' },
    env: {
      KAFKA_SASL_MECHANISM: 'oauthbearer',
      KAFKA_OAUTH_TOKEN_URL: url,
      KAFKA_OAUTH_CLIENT_ID: CLIENT_ID,
      KAFKA_OAUTH_CLIENT_SECRET: CLIENT_SECRET,
      KAFKA_OAUTH_SCOPE: 'kafka feed',
    },
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
  return tokens;
}

function makeToken(claims: Readonly<Record<string, unknown>>, lifeSeconds: number): string {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const parts = [{ alg: 'none' }, { iat: nowSeconds, exp: nowSeconds + lifeSeconds, ...claims }];
  return `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`;
}
