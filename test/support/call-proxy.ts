import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface CallProxy extends AsyncDisposable {
  readonly url: string;
}

/**
 * Stands before the API, so that a test can act before and after a call.
 *
 * @param around runs with every call, such as `POST /exports`; `forward` sends it and has its response
 */
export async function startCallProxy(
  target: string,
  around: (call: string, forward: () => Promise<void>) => Promise<void>,
): Promise<CallProxy> {
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const { method = '', url = '', headers } = request;
    await around(`${method} ${url}`, async () => {
      const given = await fetch(`${target}${url}`, {
        method,
        headers: {
          authorization: String(headers.authorization),
          'content-type': 'application/json',
          ...(headers['idempotency-key'] && { 'idempotency-key': String(headers['idempotency-key']) }),
        },
        ...(body.length === 0 ? {} : { body }),
      });
      response.statusCode = given.status;
      response.write(await given.text());
    });
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
