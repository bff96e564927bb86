import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createConnectionCheck } from '../../../services/dispatcher/send/connection-check.ts';
import {
  type Connection,
  createOriginConnections,
} from '../../../services/dispatcher/send/origin-connections.ts';
import { parseCidr } from '../../../shared/domain/address-rules.ts';

let cleanup: AsyncDisposableStack;
beforeEach(() => {
  cleanup = new AsyncDisposableStack();
});
afterEach(() => cleanup.disposeAsync());

const openServer = async () => {
  const server = createServer((_request, response) => response.writeHead(204).end());
  cleanup.defer(async () => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
};
const open = (maxIdle?: number) => {
  const check = createConnectionCheck([parseCidr('127.0.0.0/8')]);
  const connections = createOriginConnections(check, 5_000, maxIdle);
  cleanup.defer(() => connections.closeIdle());
  return connections;
};
const use = async ({ client }: Connection) => {
  const { body } = await client.request({ method: 'POST', path: '/' });
  await body.dump();
};

test('a connection that is given back is taken again, and none is shared', async () => {
  const { origin } = await openServer();
  const connections = open();
  const [first, second] = [connections.take(origin), connections.take(origin)];
  expect(second).not.toBe(first);
  await use(first);
  await use(second);
  connections.giveBack(first);
  connections.giveBack(second);
  expect(connections.take(origin)).toBe(second);
  expect(connections.take(origin)).toBe(first);
});

test('of too many idle connections the one that was used longest ago is closed', async () => {
  const origins = [(await openServer()).origin, (await openServer()).origin, (await openServer()).origin];
  const connections = open(2);
  const taken = origins.map((origin) => connections.take(origin));
  for (const connection of taken) await use(connection);
  for (const connection of taken) connections.giveBack(connection);
  expect(taken.map(({ client }) => client.destroyed)).toEqual([true, false, false]);
  expect(connections.take(origins[2] ?? '')).toBe(taken[2]);
});

test('an idle connection that the receiver closes is not kept', async () => {
  const { server, origin } = await openServer();
  const connections = open();
  const connection = connections.take(origin);
  await use(connection);
  connections.giveBack(connection);
  server.closeAllConnections();
  await expect.poll(() => connection.client.destroyed).toBe(true);
  expect(connections.take(origin)).not.toBe(connection);
});
