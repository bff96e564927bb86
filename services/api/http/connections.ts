import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { REFUSAL_WAITS } from './late-refusal.ts';

/**
 * Requests on one connection whose response has not been sent. Nothing holds back a client that sends the next one without waiting,
 * and each takes some KB: a connection with more is closed. Browsers and common clients send one.
 */
const MAX_UNANSWERED = 16;

export interface Connections {
  /** The responses of a connection that have not been sent, in their order. */
  responsesOf(socket: Duplex): readonly ServerResponse[];
}

/**
 * Keeps the number of connections within a limit. Beyond it a new connection replaces an idle one, so that opening many keeps
 * nobody out. Idle are those that wait for their refusal, too, and headers that have not ended are no request yet. When all have a
 * request that is served, the new one is closed.
 *
 * Connections that were served last are kept apart from those that asked nothing or were refused. The longer list gives up its
 * longest idle connection. So thousands that only hold a connection replace one another, and not those that others come back to.
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
    if (responses.size > MAX_UNANSWERED) socket.destroy();
    served.delete(socket);
    unserved.delete(socket);
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
  return { responsesOf: (socket) => [...(unanswered.get(socket) ?? [])] };
}
