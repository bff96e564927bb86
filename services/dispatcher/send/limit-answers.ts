import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type AnswerFilter, createAnswerFilter, OversizedAnswerError } from './answer-filter.ts';

/**
 * Bytes that TLS itself reads per response, besides the response: certificates (OpenSSL accepts 100 KB), session
 * tickets, renegotiation requests. OpenSSL limits most of it, but not all.
 */
const MAX_TLS_BYTES = 256 * 1_024;

/** Interval of checks on a connection's raw bytes. None of our code runs while TLS reads, so this bounds its cost. */
const TLS_LOOK_MS = 50;

/** Session tickets per connection. Common servers send one or two. */
const MAX_TLS_SESSIONS = 16;

/** TLS options of limited connections. Without them a server could request renegotiation without end. */
export const LIMITED_TLS = { secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;

/** The part of the filter that senders use. */
export type AnswerLimits = Pick<AnswerFilter, 'expectAnswer' | 'expectNothing'>;

interface Watched {
  readonly socket: TLSSocket;
  readonly end: (error: Error) => void;
  bytesBefore: number;
}

/** TLS connections with a request under way. */
const watched = new Set<Watched>();
let look: NodeJS.Timeout | undefined;

/** Bytes that came over the network. Node reports only those that TLS has decrypted. */
function bytesBelowTls(socket: TLSSocket): number {
  const { _handle: handle } = socket as { _handle?: { _parent?: { bytesRead?: number } } | null };
  return handle?._parent?.bytesRead ?? 0;
}

function watch(entry: Watched): void {
  entry.bytesBefore = bytesBelowTls(entry.socket);
  watched.add(entry);
  look ??= setInterval(() => {
    for (const { socket, end, bytesBefore } of watched) {
      if (bytesBelowTls(socket) - bytesBefore > MAX_TLS_BYTES) {
        end(new OversizedAnswerError('the response has too many bytes below TLS'));
      }
    }
  }, TLS_LOOK_MS).unref();
}

function unwatch(entry: Watched): void {
  watched.delete(entry);
  if (watched.size > 0) return;
  clearInterval(look);
  look = undefined;
}

/**
 * Ends a connection when it brings more than a response may have, or a response that nothing asked for. Bytes are
 * counted where the socket receives them (`push`), before any parser and independent of the HTTP client.
 */
export function limitAnswers(socket: Socket): AnswerLimits {
  const filter = createAnswerFilter();
  const push = socket.push.bind(socket);
  let isEnding = false;
  const end = (error: Error) => {
    if (isEnding) return;
    isEnding = true;
    // The accepted part of a long response is still on its way to the parser, and its status counts.
    if (error instanceof OversizedAnswerError) setImmediate(() => socket.destroy(error));
    else socket.destroy(error);
  };
  socket.push = (chunk: Buffer | null) => {
    if (chunk === null) {
      const held = filter.release();
      if (held.length > 0) push(held);
      return push(null);
    }
    if (isEnding) return false;
    const admitted = filter.admit(chunk);
    const mayGoOn = admitted.length === 0 || push(admitted);
    if (filter.error === undefined) return mayGoOn;
    end(filter.error);
    return false;
  };
  if (!(socket instanceof TLSSocket)) return filter;

  const entry: Watched = { socket, end, bytesBefore: 0 };
  let sessionCount = 0;
  socket.on('session', () => {
    sessionCount += 1;
    if (sessionCount > MAX_TLS_SESSIONS)
      end(new OversizedAnswerError('the response has too many TLS sessions'));
  });
  socket.once('close', () => unwatch(entry));
  watch(entry);
  return {
    expectAnswer() {
      filter.expectAnswer();
      watch(entry);
    },
    expectNothing() {
      filter.expectNothing();
      unwatch(entry);
    },
  };
}
