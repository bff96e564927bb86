import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { newId } from '../../../shared/domain/ids.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { problemText, unreadableRequest } from './problem.ts';
import type { PublicUrls } from './public-urls.ts';
import type { RequestLimits } from './request-limits.ts';

/**
 * Connections, so that their number does not decide how much memory is used. Beyond this, a new connection
 * replaces the one that has been idle for longest, so that opening many connections keeps nobody out. When
 * all have a request, the new one is refused.
 */
const MAX_CONNECTIONS = 4_000;

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
    maxConnections = MAX_CONNECTIONS,
  }: { readonly urls: Pick<PublicUrls, 'reference'>; readonly maxConnections?: number },
): Promise<{ port: number; worker: Worker; close(): Promise<void> }> {
  const server = createServer(
    {
      headersTimeout: limits.headersMs,
      // The last limit, for bodies that no reader limits: longer than any reader allows.
      requestTimeout: limits.headersMs + limits.uploadTotalMs + limits.lingerMs,
      connectionsCheckingInterval: limits.checkEveryMs,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    },
    handle,
  );
  const responding = new WeakSet<Duplex>();
  server.on('request', (request, response) => {
    responding.add(request.socket);
    response.once('close', () => responding.delete(request.socket));
    closeUnlessRead(request, response, limits.lingerMs);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // A response that has begun cannot be followed by another.
    if (responding.has(socket) || !socket.writable) socket.destroy();
    else refuse(socket, error.code, urls);
  });
  limitConnections(server, maxConnections);
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

function limitConnections(server: Server, maxConnections: number): void {
  // The longest idle connection first. Headers that have not ended are no request yet.
  const idle = new Set<Socket>();
  let open = 0;
  server.on('connection', (socket) => {
    open += 1;
    socket.once('close', () => {
      open -= 1;
      idle.delete(socket);
    });
    if (open > maxConnections) {
      const [longest] = idle;
      (longest ?? socket).destroy();
      if (longest === undefined) return;
      idle.delete(longest);
    }
    idle.add(socket);
  });
  server.on('request', ({ socket }, response) => {
    idle.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) idle.add(socket);
    });
  });
}

/**
 * Drains what a client still sends after the response, because many clients read no response before they have
 * sent everything. A client that sends more slowly is disconnected.
 */
function closeUnlessRead(request: IncomingMessage, response: ServerResponse, lingerMs: number): void {
  response.once('finish', () => {
    if (request.complete) return;
    request.resume();
    const timer = setTimeout(() => request.socket.destroy(), lingerMs);
    request.once('close', () => clearTimeout(timer));
  });
}

function refuse(socket: Duplex, code: string | undefined, urls: Pick<PublicUrls, 'reference'>): void {
  const problem = unreadableRequest(code, newId('req'));
  const body = problemText(problem, urls);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${problem.request_id}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function listenFailure(cause: NodeJS.ErrnoException, port: number, host: string): Error {
  if (cause.code !== 'EADDRINUSE' && cause.code !== 'EACCES' && cause.code !== 'EADDRNOTAVAIL') return cause;
  return new SetupError('the API cannot listen', [
    `${host}:${port} is ${cause.code === 'EADDRINUSE' ? 'taken by another process' : 'not allowed'}: set another PORT or HOST`,
  ]);
}
