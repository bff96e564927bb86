import { randomBytes } from 'node:crypto';
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { yieldToMeasured } from './fork-apart.ts';

/** What one hostile tenant, or somebody without a key, does to the api. */
export type ApiAttack =
  /** Asks as fast as it is answered. */
  | 'forty connections'
  /** Downloads that are begun and never read. */
  | 'stalled downloads'
  /** Queries of very many parameters, without a key. */
  | 'long queries'
  /** Bodies of 4 MB that hold nothing but values. */
  | 'large bodies'
  /** Each request with another key that nobody has. */
  | 'unknown keys'
  /** 4,000 connections that ask nothing. */
  | 'silent connections'
  /** 4,000 connections that each ask once a second. */
  | '4,000 connections';

export interface ApiAttackOptions {
  readonly attack: ApiAttack;
  readonly url: string;
  readonly key: string;
  /** Of a file that is more than sockets hold. */
  readonly link: string;
}

const CONNECTIONS = 40;
const LARGE_BODIES = 8;
const MANY_CONNECTIONS = 4_000;

/** Runs until its process is ended. */
async function attack(options: ApiAttackOptions): Promise<void> {
  const { key } = options;
  const authorization = { authorization: `Bearer ${key}` };
  switch (options.attack) {
    case 'forty connections':
      return askAll(CONNECTIONS, () => ask(options.url, '/exports', { headers: authorization }));
    case 'long queries':
      return askAll(CONNECTIONS, () => ask(options.url, `/healthz?${'a&'.repeat(7_000)}`, {}));
    case 'unknown keys':
      return askAll(CONNECTIONS, () => {
        const unknown = { authorization: `Bearer tk_${randomBytes(32).toString('base64url')}` };
        return ask(options.url, '/exports', { headers: unknown });
      });
    case 'large bodies': {
      const values = Array.from({ length: 400_000 }, (_, n) => `"f${n}":0`).join(',');
      const body = `{"resource":"invoices","operation":"void",${values}}`.slice(0, 4_000_000);
      const headers = { ...authorization, 'content-type': 'application/json' };
      return askAll(LARGE_BODIES, () =>
        ask(options.url, '/bulk/operations', { method: 'POST', headers }, body),
      );
    }
    case 'stalled downloads':
      return askAll(CONNECTIONS, () => stall(options.link));
    case 'silent connections': {
      const { hostname, port } = new URL(options.url);
      return askAll(MANY_CONNECTIONS, () => open(Number(port), hostname));
    }
    case '4,000 connections':
      return askAll(MANY_CONNECTIONS, async () => {
        await ask(options.url, '/exports', { headers: authorization });
        await delay(1_000);
      });
  }
}

/** What was answered, refused or cut off: on a busy machine an attacker that yields hardly attacks, and its figures say nothing. */
let endedCount = 0;

/** So many loops, each beginning anew when it is answered, refused or cut off. */
async function askAll(count: number, once: () => Promise<void>): Promise<void> {
  const loop = async (): Promise<void> => {
    for (;;) {
      await once().catch(() => delay(10));
      endedCount += 1;
    }
  };
  await Promise.all(Array.from({ length: count }, loop));
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

function ask(url: string, path: string, options: RequestOptions, body?: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sent = request(`${url}${path}`, { ...options, agent }, (answer: IncomingMessage) => {
    answer.resume().once('close', resolve);
  });
  sent.once('error', reject).end(body);
  return promise;
}

/** Ends when the api has given it up, or at once when it is refused. */
function stall(link: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sent = request(link, { agent: false }, (answer: IncomingMessage) => {
    answer.once('close', resolve).once('error', reject);
    if (answer.statusCode !== 200) answer.resume();
  });
  sent.once('error', reject).end();
  return promise;
}

function open(port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect(port, host);
  socket.once('close', () => resolve()).once('error', reject);
  return promise;
}

if (process.send !== undefined) {
  yieldToMeasured();
  process.once('message', (options) => void attack(options as ApiAttackOptions));
  setInterval(() => process.send?.(endedCount), 500);
}
