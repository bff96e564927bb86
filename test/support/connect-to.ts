import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/**
 * Opens the server on a free port, and a connection to it for a test that writes the bytes of a request itself. Both end with
 * `cleanup`. What breaks the connection is no error of the test.
 */
export async function connectTo(server: Server, cleanup: AsyncDisposableStack): Promise<Socket> {
  cleanup.defer(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  cleanup.defer(() => void socket.destroy());
  return socket.on('error', () => undefined);
}
