import { expect, test } from 'vitest';
import { keepToken, type Token, TokenError } from './token.ts';

const outage = () => new TokenError('away', { isOutage: true });

/** A server of tokens whose clock and answers a test sets. */
function openServer(lifeMs = 60_000) {
  const server = { atMs: 1_000_000, fetches: 0, lifeMs, failure: undefined as Error | undefined };
  const fetchToken = async (): Promise<Token> => {
    server.fetches += 1;
    if (server.failure !== undefined) throw server.failure;
    return { value: `token ${server.fetches}`, lifeMs: server.lifeMs };
  };
  const warnings: string[] = [];
  const log = { warn: (event: string) => void warnings.push(event) };
  return { server, warnings, tokens: keepToken(fetchToken, log, () => server.atMs) };
}

test('all logins share a token until half of its life is over, and ask for the next one once', async () => {
  const { server, tokens } = openServer();
  expect(await Promise.all([tokens.get(), tokens.get()])).toEqual(['token 1', 'token 1']);
  server.atMs += 29_999;
  expect(await tokens.get()).toBe('token 1');
  server.atMs += 1;
  expect(await Promise.all([tokens.get(), tokens.get()])).toEqual(['token 2', 'token 2']);
  expect(server.fetches).toBe(2);
});

test.each([
  ['is away', outage()],
  ['refuses the client', new TokenError('revoked', { isOutage: false })],
])(
  'while the server %s, the old token serves as long as a session of it is long enough',
  async (_, failure) => {
    const { server, tokens, warnings } = openServer();
    await tokens.get();
    server.failure = failure;
    server.atMs += 40_000;
    expect(await tokens.get()).toBe('token 1');
    expect(warnings).toEqual(['kafka.token_not_renewed']);
    server.atMs += 8_001;
    await expect(tokens.get()).rejects.toThrow(failure.message);
    server.failure = undefined;
    expect(await tokens.get()).toBe(`token ${server.fetches}`);
  },
);

test('a token that the broker refused is not shown again', async () => {
  const { tokens } = openServer();
  await tokens.get();
  tokens.forget();
  expect(await tokens.get()).toBe('token 2');
});

test('a token of unknown life serves for one login, and one of too short a life is refused', async () => {
  const unknown = openServer(0);
  await unknown.tokens.get();
  expect(await unknown.tokens.get()).toBe('token 2');
  await expect(openServer(29_000).tokens.get()).rejects.toThrow(
    'the token lasts 29 s: let the server give it 30 s or more',
  );
});
