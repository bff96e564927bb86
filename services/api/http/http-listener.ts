import {
  createServer,
  type IncomingMessage,
  maxHeaderSize,
  type RequestListener,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { newId } from '../../../shared/domain/ids.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { createPieceGatherer } from './body-pieces.ts';
import { limitConnections } from './connections.ts';
import { createLateness, type NextLateness } from './late-refusal.ts';
import { parseInSlices } from './parse-in-slices.ts';
import {
  type AskedFor,
  type ProblemPage,
  problemText,
  UnsupportedMethodError,
  unreadableRequest,
} from './problem.ts';
import type { PublicUrls } from './public-urls.ts';
import type { RequestLimits } from './request-limits.ts';
import { pathOf } from './request-target.ts';
import { dropSlowReaders, READER_LIMITS, type ReaderLimits } from './slow-reader.ts';

/** Connections, so that their number does not decide how much memory is used. */
const MAX_CONNECTIONS = 4_000;

/** Connections that are refused in one turn of the event loop: half a millisecond. Thousands may run out of time in one moment. */
const REFUSED_AT_ONCE = 5;

/**
 * Connections that are ended late at once. Each may hold two reads of 64 KB, and thousands may be opened for that. Beyond the limit
 * they are ended without delay.
 */
const MAX_LEAVING = 500;

/** Longer than load balancers keep a connection, so that the api never closes it under a request. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/**
 * Opens the port, so that the address is known before any worker runs. The worker serves until the signal,
 * and ends when running requests have their responses.
 * Readers of a body limit its time. Bytes that nobody reads are drained for a while.
 *
 * @throws SetupError when the port is taken
 */
export async function openHttpListener(
  handle: RequestListener,
  port: number,
  host: string,
  limits: RequestLimits,
  {
    urls,
    nextLateness = createLateness(limits.refusalMs),
    maxConnections = MAX_CONNECTIONS,
    pageOf = () => undefined,
    readerLimits = READER_LIMITS,
  }: {
    readonly urls: Pick<PublicUrls, 'prefix' | 'reference'>;
    readonly nextLateness?: NextLateness;
    readonly maxConnections?: number;
    readonly pageOf?: ProblemPage;
    readonly readerLimits?: ReaderLimits;
  },
): Promise<{ port: number; worker: Worker; close(): Promise<void> }> {
  const server = createServer({
    headersTimeout: limits.headersMs,
    // The last limit, for bodies that no reader limits: longer than any reader allows.
    requestTimeout: limits.headersMs + limits.uploadTotalMs + limits.lingerMs,
    connectionsCheckingInterval: limits.checkEveryMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // Its response would have no body.
    requireHostHeader: false,
  });
  const pieces = createPieceGatherer();
  const parsedOf = parseInSlices(server, pieces.bytesLeft);
  const connections = limitConnections(server, maxConnections);
  dropSlowReaders(server, readerLimits);
  /** Requests whose response was sent before their body had arrived. */
  const drained = new WeakSet<Duplex>();
  const refuseUnread = (error: UnreadError, socket: Duplex) => {
    // A response that has begun, or waits for an earlier one, cannot be preceded by another, and a request has one.
    const [first, ...others] = connections.responsesOf(socket);
    const isTooLate = first?.headersSent === true || others.length > 0 || drained.has(socket);
    if (isTooLate || !socket.writable) socket.destroy();
    else refuse(socket, error, urls, pageOf);
  };
  /** Requests whose client sends the body once it is told to. */
  const held = new WeakSet<IncomingMessage>();
  const inTurn = createTurns(REFUSED_AT_ONCE);
  const leaving = new Set<Duplex>();
  /** Reads nothing more of a connection and ends it later, because its client may open another at once. */
  const endLate = (socket: Duplex, waitMs: number, end: () => void) => {
    leaving.add(socket);
    // Node would close a connection that its client has closed on its side, before the refusal is sent.
    for (const event of ['data', 'end']) socket.removeAllListeners(event);
    // The end of a response, or a reader of a body, lets Node read on.
    socket.on('resume', () => socket.pause());
    socket.pause().on('error', () => undefined);
    connections.giveUp(socket);
    const timer = setTimeout(() => inTurn(end), leaving.size > MAX_LEAVING ? 0 : waitMs);
    socket.once('close', () => {
      leaving.delete(socket);
      clearTimeout(timer);
    });
  };
  const refuseLate = (error: UnreadError, socket: Duplex) => {
    if (leaving.has(socket) || socket.destroyed) return;
    // A timeout has made its client wait already.
    const waitMs = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 0 : nextLateness();
    const parsed = parsedOf(socket);
    if (parsed !== undefined) error.rawPacket = Buffer.from(parsed.subarray(0, maxHeaderSize));
    endLate(socket, waitMs, () => refuseUnread(error, socket));
  };
  server.on('clientError', refuseLate);
  server.on('request', (request, response) => {
    const { socket } = request;
    // The parser still brings the requests of its slice.
    if (socket.destroyed || leaving.has(socket)) return;
    if (connections.isCrowded(socket)) {
      endLate(socket, nextLateness(), () => socket.destroy());
      return;
    }
    response.once('finish', () => {
      if (request.complete) return;
      drained.add(socket);
      request.once('close', () => drained.delete(socket));
      drain(request, limits.lingerMs);
    });
    if (hasBody(request)) pieces.gather(request, (error) => refuseLate(error, socket));
    if (held.has(request)) continueWhenRead(request, response);
    handle(request, response);
  });
  server.on('checkContinue', (request, response) => {
    held.add(request);
    server.emit('request', request, response);
  });
  // Node itself would send a response without a body, or none.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', (_request, socket) => refuseLate(new UnsupportedMethodError('CONNECT'), socket));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFailure(cause, port, host)));
    server.listen(port, host, resolve);
  });
  const close = () =>
    new Promise<void>((resolve) => {
      const limit = setTimeout(() => server.closeAllConnections(), limits.drainMs);
      server.close(() => {
        clearTimeout(limit);
        resolve();
      });
      server.closeIdleConnections();
    });
  const worker: Worker = {
    name: 'http',
    ready: Promise.resolve(),
    run: async (signal) => {
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await close();
    },
  };
  return { port: (server.address() as AddressInfo).port, worker, close };
}

/** Runs a limited number of pieces of work in a turn of the event loop, in their order, so that work that comes at once delays others by little. */
function createTurns(perTurn: number): (work: () => void) => void {
  const waiting: (() => void)[] = [];
  const runSome = () => {
    const some = waiting.slice(0, perTurn);
    for (const work of some) work();
    waiting.splice(0, some.length);
    if (waiting.length > 0) setImmediate(runSome);
  };
  return (work) => {
    waiting.push(work);
    // One that runs keeps its place until the turn ends, so the next turn is asked for once.
    if (waiting.length === 1) setImmediate(runSome);
  };
}

/**
 * Drains what a client still sends after the response, because many clients read no response before they have
 * sent everything. A client that sends more slowly is disconnected.
 */
function drain(request: IncomingMessage, lingerMs: number): void {
  request.resume();
  const timer = setTimeout(() => request.socket.destroy(), lingerMs);
  request.once('close', () => clearTimeout(timer));
}

/**
 * Asks the client for the body as soon as somebody reads it: a request that is refused before costs no upload (RFC 9110, 10.1.1).
 * A connection whose client was not asked ends with the response, because its next bytes may be the body or another request.
 */
function continueWhenRead(request: IncomingMessage, response: ServerResponse): void {
  const { shouldKeepAlive } = response;
  response.shouldKeepAlive = false;
  const read = request.read.bind(request);
  request.read = (size) => {
    request.read = read;
    if (!response.headersSent) {
      response.shouldKeepAlive = shouldKeepAlive;
      response.writeContinue();
    }
    return read(size);
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined;
}

/** Of a request that Node could not read, with the bytes that it had of it. */
interface UnreadError extends NodeJS.ErrnoException {
  rawPacket?: Buffer;
}

function refuse(
  socket: Duplex,
  error: UnreadError,
  urls: Pick<PublicUrls, 'prefix' | 'reference'>,
  pageOf: ProblemPage,
): void {
  const problem = unreadableRequest(error, newId('req'));
  const page = pageOf(problem, askedIn(error.rawPacket, urls.prefix()));
  const body = typeof page?.body === 'string' ? page.body : problemText(problem, urls);
  const headers = page?.headers ?? { 'content-type': 'application/problem+json; charset=utf-8' };
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${problem.request_id}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

/** What a browser asked for, where the bytes have it: its address, and the headers before the one that is too large. */
function askedIn(bytes: Buffer | undefined, prefix: string): AskedFor {
  const [line = '', ...fields] = (bytes ?? Buffer.alloc(0)).toString('latin1').split('\r\n');
  const [, url = ''] = line.split(' ');
  const headers = new Map(
    fields.map((field) => {
      const [name = '', value = ''] = field.split(/:\s*(.*)/s, 2);
      return [name.toLowerCase(), value];
    }),
  );
  return { path: pathOf(url, prefix), header: (name) => headers.get(name), incoming: undefined };
}

function listenFailure(cause: NodeJS.ErrnoException, port: number, host: string): Error {
  if (cause.code !== 'EADDRINUSE' && cause.code !== 'EACCES' && cause.code !== 'EADDRNOTAVAIL') return cause;
  return new SetupError('the API cannot listen', [
    `${host}:${port} is ${cause.code === 'EADDRINUSE' ? 'taken by another process' : 'not allowed'}: set another PORT or HOST`,
  ]);
}
