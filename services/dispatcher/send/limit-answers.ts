import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type AnswerFilter, createAnswerFilter, OversizedAnswerError } from './answer-filter.ts';

/**
 * What TLS itself reads for one answer beside the answer: certificates (OpenSSL takes 100 KB of them), session tickets, requests
 * to negotiate again. OpenSSL limits most of it, but not all.
 */
const MAX_TLS_BYTES = 256 * 1_024;

/** No code of ours runs while TLS reads, so its bytes are looked at now and then: this is the most that they can cost. */
const TLS_LOOK_MS = 50;

/** Session tickets over one connection. Common servers send one or two. */
const MAX_TLS_SESSIONS = 16;

/** For connections that are limited: a server that wants to negotiate again could want it without an end. */
export const LIMITED_TLS = { secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;

/** What of the filter concerns those who send. */
export type AnswerLimits = Pick<AnswerFilter, 'expectAnswer' | 'expectNothing'>;

interface Watched {
  readonly socket: TLSSocket;
  readonly end: (error: Error) => void;
  bytesBefore: number;
}

/** TLS connections with a request under way. */
const watched = new Set<Watched>();
let look: NodeJS.Timeout | undefined;

/** Bytes that came over the network. Node tells only of those that TLS has decrypted. */
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
 * Ends a connection as soon as it brings more than an answer may be, or an answer that nobody asked for. What comes is
 * counted where the socket takes it from the network (`push`), ahead of any parser and the same for every HTTP client.
 */
export function limitAnswers(socket: Socket): AnswerLimits {
  const filter = createAnswerFilter();
  const push = socket.push.bind(socket);
  let isEnding = false;
  const end = (error: Error) => {
    if (isEnding) return;
    isEnding = true;
    // What was let through of a long answer is still on its way to the parser, and its status counts.
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
