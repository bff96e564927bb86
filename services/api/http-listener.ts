import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Worker } from '../../shared/runtime/worker.ts';

/** Connections beyond this are not accepted, so that their number never decides how much memory is used. */
const MAX_CONNECTIONS = 4_000;

/** A client has this long for its headers, and for its whole request; downloads take as long as they take. */
const HEADERS_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;

/** Longer than load balancers keep a connection, so that it is never we who close it under a request. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/** After the signal, downloads under way get this long. */
const DRAIN_LIMIT_MS = 20_000;

/**
 * Opens the port, so that what listens is known before any worker runs. The worker then serves until the signal, and
 * ends when the requests in hand are answered.
 *
 * @throws SetupError when the port is taken
 */
export async function openHttpListener(
  handle: RequestListener,
  port: number,
  host: string,
): Promise<{ port: number; worker: Worker; close(): Promise<void> }> {
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    },
    handle,
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFailure(cause, port, host)));
    server.listen(port, host, resolve);
  });
  const close = () =>
    new Promise<void>((resolve) => {
      const limit = setTimeout(() => server.closeAllConnections(), DRAIN_LIMIT_MS);
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

function listenFailure(cause: NodeJS.ErrnoException, port: number, host: string): Error {
  if (cause.code !== 'EADDRINUSE' && cause.code !== 'EACCES' && cause.code !== 'EADDRNOTAVAIL') return cause;
  return new SetupError('the api can not listen', [
    `${host}:${port} is ${cause.code === 'EADDRINUSE' ? 'taken by another process' : 'not ours to take'}: set another PORT or HOST`,
  ]);
}
