import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What the parser gets at once: 340 chunks of a byte, or 80 requests of the shortest. */
const SLICE_BYTES = 2_048;

/** Node's own state of a connection: it reads nothing more until the client has taken responses. */
type Held = Socket & { readonly _paused?: boolean };

/**
 * Gives the parser what a connection has sent in slices, and stops between two of them once the connection is paused or closed.
 * Node itself parses all that it has read of a socket at once. In 64 KB that is 11,000 chunks of a byte, or 2,000 requests: no
 * other request runs for tens of milliseconds, and a pause or a close of the connection has no effect before the end.
 *
 * @param bytesLeft of a body whose length is known: it is one piece whatever its size, so it is not cut
 * @returns what the parser is being given of a connection: the whole of what was read, of which an error of Node has one slice
 */
export function parseInSlices(
  server: Server,
  bytesLeft: (socket: Duplex) => number,
): (socket: Duplex) => Buffer | undefined {
  const parsed = new WeakMap<Duplex, Buffer>();
  server.on('connection', (socket: Held) => {
    // Node's parser reads from the socket itself for as long as only Node listens to it. With this listener it gets its data here.
    const [parse] = socket.listeners('data');
    if (parse === undefined) return;
    socket.off('data', parse as (bytes: Buffer) => void);
    socket.on('data', (bytes: Buffer) => {
      parsed.set(socket, bytes);
      let at = 0;
      while (at < bytes.length && isOpen(socket)) {
        if (socket.isPaused() || socket._paused === true) {
          socket.pause().unshift(bytes.subarray(at));
          break;
        }
        const end = at + (bytesLeft(socket) || SLICE_BYTES);
        parse.call(socket, bytes.subarray(at, end));
        at = end;
      }
      parsed.delete(socket);
    });
  });
  // The parser is another connection's by then.
  server.on('connect', (_request, socket) => socket.removeAllListeners('data'));
  return (socket) => parsed.get(socket);
}

function isOpen(socket: Socket): boolean {
  return !socket.destroyed && socket.listenerCount('data') > 0;
}
