import type { Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { REFUSAL_WAITS } from './late-refusal.ts';

/**
 * Requests on one connection whose responses have not been sent. A connection with more is closed, because each request
 * takes some KB and a client may send requests without waiting for responses. Browsers and common clients send one at a time.
 */
const MAX_UNANSWERED = 16;

export interface Connections {
  /** The responses of a connection that have not been sent, in their order. */
  responsesOf(socket: Duplex): readonly ServerResponse[];
  /** Whether a connection has more requests without a response than it may. */
  isCrowded(socket: Duplex): boolean;
  /** Lets a new connection replace this one, whatever it has asked. */
  giveUp(socket: Duplex): void;
}

/**
 * Limits the number of connections. Beyond the limit a new connection replaces an idle one, so that a client with many
 * connections keeps nobody out. A connection is idle without a complete request, and while its request waits for its refusal.
 * If no connection is idle, the new one is closed.
 *
 * Idle connections are in two lists: those whose last request was served, and all others. The longer list gives up its
 * longest idle connection. So thousands of connections without a served request replace one another, not those of others.
 */
export function limitConnections(server: Server, maxConnections: number): Connections {
  const served = new Set<Socket>();
  const unserved = new Set<Socket>();
  const unanswered = new WeakMap<Duplex, Set<ServerResponse>>();
  let open = 0;
  server.on('connection', (socket) => {
    open += 1;
    unanswered.set(socket, new Set());
    socket.once('close', () => {
      open -= 1;
      served.delete(socket);
      unserved.delete(socket);
    });
    if (open > maxConnections) {
      const longer = unserved.size >= served.size ? unserved : served;
      const [longest] = longer;
      (longest ?? socket).destroy();
      if (longest === undefined) return;
      longer.delete(longest);
    }
    unserved.add(socket);
  });
  server.on('request', ({ socket }, response) => {
    const responses = unanswered.get(socket);
    if (responses === undefined || socket.destroyed) return;
    responses.add(response);
    served.delete(socket);
    unserved.delete(socket);
    // It will be closed.
    if (responses.size > MAX_UNANSWERED) unserved.add(socket);
    let group = served;
    response.once(REFUSAL_WAITS, () => {
      group = unserved;
      if (responses.size === 1 && !socket.destroyed) group.add(socket);
    });
    response.once('close', () => {
      responses.delete(response);
      if (responses.size === 0 && !socket.destroyed) group.add(socket);
    });
  });
  return {
    responsesOf: (socket) => [...(unanswered.get(socket) ?? [])],
    isCrowded: (socket) => (unanswered.get(socket)?.size ?? 0) > MAX_UNANSWERED,
    giveUp(socket) {
      if (!(socket instanceof Socket) || socket.destroyed) return;
      served.delete(socket);
      unserved.add(socket);
    },
  };
}
