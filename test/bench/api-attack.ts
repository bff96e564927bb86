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
  | '4,000 connections'
  /** 4,000 connections without a key, each asking as fast as it is refused. */
  | '4,000 strangers'
  /** Documents and pages that anybody may read, as fast as they come. */
  | 'public pages'
  /** Bodies in chunks of a byte, with and without a key. */
  | 'tiny chunks'
  /** Requests that are sent without waiting for a response. */
  | 'pipelined requests'
  /** Connections that are opened, used once and closed. */
  | 'new connections';

/** What an attack reports, twice a second. */
export interface AttackReport {
  /**
   * Requests and connections that were answered, refused or cut off. On a busy machine an attacker that yields hardly attacks, and
   * the figures beside it say nothing.
   */
  readonly endedCount: number;
  /** Of these, responses to requests that the api let through, and refusals. The rest were cut off, or nobody read the response. */
  readonly admittedCount: number;
  readonly refusedCount: number;
  /** Connections that it has, and those of them that are open and have got their first response if they ask. */
  readonly connections: number;
  readonly begunCount: number;
}

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

/** Called when the first response has come, or for those that ask nothing, when the connection is open. */
type Begin = () => void;

/** Runs until its process is ended. */
async function attack(options: ApiAttackOptions): Promise<void> {
  const { key, url } = options;
  const authorization = { authorization: `Bearer ${key}` };
  const { hostname: host, port } = new URL(url);
  const to = { host, port: Number(port) };
  switch (options.attack) {
    case 'forty connections':
      return askAll(CONNECTIONS, (begin) => ask(url, '/exports', { headers: authorization }, begin));
    case 'long queries':
      return askAll(CONNECTIONS, (begin) => ask(url, `/healthz?${'a&'.repeat(7_000)}`, {}, begin));
    case 'unknown keys':
      return askAll(CONNECTIONS, (begin) => {
        const unknown = { authorization: `Bearer tk_${randomBytes(32).toString('base64url')}` };
        return ask(url, '/exports', { headers: unknown }, begin);
      });
    case 'large bodies': {
      const values = Array.from({ length: 400_000 }, (_, n) => `"f${n}":0`).join(',');
      const body = `{"resource":"invoices","operation":"void",${values}}`.slice(0, 4_000_000);
      const headers = { ...authorization, 'content-type': 'application/json' };
      return askAll(LARGE_BODIES, (begin) =>
        ask(url, '/bulk/operations', { method: 'POST', headers }, begin, body),
      );
    }
    case 'stalled downloads':
      return askAll(CONNECTIONS, (begin) => stall(options.link, begin));
    case 'silent connections':
      return askAll(MANY_CONNECTIONS, (begin) => open(to, begin));
    case '4,000 connections':
      return askAll(MANY_CONNECTIONS, async (begin) => {
        await ask(url, '/exports', { headers: authorization }, begin);
        await delay(1_000);
      });
    case '4,000 strangers':
      return askAll(MANY_CONNECTIONS, (begin) => ask(url, '/exports', {}, begin));
    case 'public pages': {
      const paths = ['/openapi.json', '/docs', '/readyz', '/dashboard/login', '/docs/problems/too_many'];
      let next = 0;
      return askAll(CONNECTIONS, (begin) => {
        next += 1;
        return ask(url, paths[next % paths.length] ?? '/', {}, begin);
      });
    }
    case 'tiny chunks': {
      let next = 0;
      const head = (lines: string) => `POST /bulk/operations HTTP/1.1\r\nHost: api\r\n${lines}\r\n`;
      const json = 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n';
      const heads = [head(json), head(`Authorization: Bearer ${key}\r\n${json}`)];
      return askAll(CONNECTIONS, (begin) => {
        next += 1;
        return pour(to, heads[next % heads.length] ?? '', '1\r\n \r\n', begin);
      });
    }
    case 'pipelined requests': {
      const request = `GET /exports HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer ${key}\r\n\r\n`;
      return askAll(CONNECTIONS, (begin) => pour(to, request, request, begin));
    }
    case 'new connections':
      return askAll(CONNECTIONS, (begin) =>
        ask(url, '/exports', { headers: { ...authorization, connection: 'close' }, agent: false }, begin),
      );
  }
}

let endedCount = 0;
let admittedCount = 0;
let refusedCount = 0;
let connections = 0;
let begunCount = 0;

function countResponse({ statusCode = 0 }: IncomingMessage): void {
  if (statusCode < 400) admittedCount += 1;
  else refusedCount += 1;
}

/** So many loops, each beginning again when it is answered, refused or cut off. */
async function askAll(count: number, once: (begin: Begin) => Promise<void>): Promise<void> {
  connections = count;
  const loop = async (): Promise<void> => {
    let hasBegun = false;
    const begin = () => {
      if (!hasBegun) begunCount += 1;
      hasBegun = true;
    };
    for (;;) {
      await once(begin).catch(() => delay(10));
      endedCount += 1;
    }
  };
  await Promise.all(Array.from({ length: count }, loop));
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

function ask(url: string, path: string, options: RequestOptions, begin: Begin, body?: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sent = request(`${url}${path}`, { agent, ...options }, (answer: IncomingMessage) => {
    begin();
    countResponse(answer);
    answer.resume().once('close', resolve);
  });
  sent.once('error', reject).end(body);
  return promise;
}

/** Ends when the api has given it up, or at once when it is refused. */
function stall(link: string, begin: Begin): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sent = request(link, { agent: false }, (answer: IncomingMessage) => {
    begin();
    countResponse(answer);
    answer.once('close', resolve).once('error', reject);
    if (answer.statusCode !== 200) answer.resume();
  });
  sent.once('error', reject).end();
  return promise;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function open(to: Address, begin: Begin): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect(to, begin);
  socket.once('close', () => resolve()).once('error', reject);
  return promise;
}

/** Sends as fast as it is taken, reads what comes, and ends when the api closes the connection. */
function pour(to: Address, head: string, again: string, begin: Begin): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const many = again.repeat(1_000);
  const socket: Socket = connect(to, begin);
  const more = () => {
    while (!socket.destroyed && socket.write(many));
  };
  socket.once('close', () => resolve()).once('error', reject);
  socket.resume().on('drain', more).write(head);
  more();
  return promise;
}

if (process.send !== undefined) {
  yieldToMeasured();
  process.once('message', (options) => void attack(options as ApiAttackOptions));
  const report = (): AttackReport => ({
    endedCount,
    admittedCount,
    refusedCount,
    connections,
    begunCount,
  });
  setInterval(() => process.send?.(report()), 500);
}
