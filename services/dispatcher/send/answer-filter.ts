import { EXCERPT_BYTES } from './send.ts';

/**
 * Bytes of all status lines and headers of a response, with its interim responses. HTTP clients commonly accept 16 KiB
 * for one head.
 */
const MAX_HEAD_BYTES = 32 * 1_024;

/**
 * Lines of all heads, interim responses included. Real responses have up to about sixty; thousands cost the parser
 * seconds.
 */
const MAX_HEAD_LINES = 250;

/** Interim responses, such as `100 Continue` and `103 Early Hints`, before the final one. */
const MAX_INTERIM_ANSWERS = 16;

/**
 * Raw bytes after the head: body, chunk sizes, chunk extensions and trailers. Twice the limit of the body itself, so
 * that a long body alone reaches its own limit first.
 */
const MAX_BODY_BYTES = 32 * 1_024;

/**
 * Bytes of an oversized response that the parser sees, enough for the recorded excerpt. A fast receiver exceeds the
 * limit with its first piece, and parsing all of that would cost more than the rest of the attempt.
 */
const MAX_PARSED_OF_LONG = 2 * EXCERPT_BYTES;

/** Pieces in which a response may arrive. Each wakes the process, so a slow drip costs more than its bytes. */
const MAX_READS = 1_000;

const CR = 0x0d;
const LF = 0x0a;
const NOTHING: Buffer = Buffer.alloc(0);

/** Length up to the status code, which tells whether a response is an interim one. */
const STATUS_END = 'HTTP/1.1 100'.length;
const INTERIM = /^HTTP\/\d\.\d 1\d\d$/;

/** The response exceeds a limit on its size or on the number of its pieces. */
export class OversizedAnswerError extends Error {
  override readonly name = 'OversizedAnswerError';
  readonly code = 'ERR_ANSWER_OVERSIZED';
}

/** The receiver sent something that answers no request. */
class UnaskedAnswerError extends Error {
  override readonly name = 'UnaskedAnswerError';
  readonly code = 'ERR_ANSWER_UNASKED';
}

/** Filters what one connection receives, before the HTTP parser sees it. A new filter expects a response. */
export interface AnswerFilter {
  /** Why nothing passes any more, or undefined. */
  readonly error: Error | undefined;
  /** A request is sent: one response is expected, and its counts start at zero. */
  expectAnswer(): void;
  /** The response is complete. Anything further is an error. */
  expectNothing(): void;
  /** @returns the bytes for the parser. The start of a status line may be held back until the line is complete */
  admit(chunk: Buffer): Buffer;
  /** @returns the bytes held back, when the connection ends */
  release(): Buffer;
}

/**
 * Counts all bytes, lines, interim responses and pieces of a response before an HTTP parser sees them. Parsers hide
 * most of what a hostile receiver can send: endless interim responses, thousands of headers, chunk extensions. Interim
 * responses are dropped here: undici treats `100 Continue` as an error, though any server may send it (RFC 9110, 15.2).
 */
export function createAnswerFilter(): AnswerFilter {
  let phase: 'nothing' | 'start' | 'interim' | 'head' | 'body' = 'start';
  let error: Error | undefined;
  let held = NOTHING;
  let headBytes = 0;
  let headLines = 0;
  /** Bytes of the current line, without its end. */
  let lineBytes = 0;
  let interimCount = 0;
  let bodyBytes = 0;
  let readCount = 0;

  const refuse = (what: string) => {
    error ??= new OversizedAnswerError(`the response has too many ${what}`);
  };

  /** @returns the number of bytes that belong to the current head. Sets `phase` after the head's blank line */
  const countHead = (bytes: Buffer): number => {
    for (let at = 0; at < bytes.length; at++) {
      headBytes += 1;
      if (bytes[at] === LF) {
        headLines += 1;
        if (lineBytes === 0) {
          phase = phase === 'interim' ? 'start' : 'body';
          return at + 1;
        }
        lineBytes = 0;
      } else if (bytes[at] !== CR) lineBytes += 1;
      if (headBytes > MAX_HEAD_BYTES) refuse('bytes of headers');
      if (headLines > MAX_HEAD_LINES) refuse('headers');
      if (error !== undefined) return at;
    }
    return bytes.length;
  };

  /** Decides which kind of response begins. @returns the bytes that are left to look at */
  const begin = (bytes: Buffer): Buffer => {
    if (bytes[0] === CR || bytes[0] === LF) {
      headBytes += 1;
      if (headBytes > MAX_HEAD_BYTES) refuse('bytes of headers');
      return bytes.subarray(1);
    }
    const start = bytes.toString('latin1', 0, STATUS_END);
    const isWhole = start.length === STATUS_END;
    if (!INTERIM.test(start + 'HTTP/1.1 100'.slice(start.length))) phase = 'head';
    else if (!isWhole) {
      held = Buffer.from(bytes);
      return NOTHING;
    } else if (start.endsWith('101')) {
      error = new UnaskedAnswerError('the response changes to another protocol');
    } else {
      phase = 'interim';
      interimCount += 1;
      if (interimCount > MAX_INTERIM_ANSWERS) refuse('interim responses');
    }
    return bytes;
  };

  return {
    get error() {
      return error;
    },
    expectAnswer() {
      phase = 'start';
      headBytes = 0;
      headLines = 0;
      lineBytes = 0;
      interimCount = 0;
      bodyBytes = 0;
      readCount = 0;
    },
    expectNothing() {
      phase = 'nothing';
    },
    admit(chunk) {
      if (error !== undefined) return NOTHING;
      if (phase === 'nothing') {
        error = new UnaskedAnswerError('there was no request to respond to');
        return NOTHING;
      }
      readCount += 1;
      if (readCount > MAX_READS) refuse('pieces');
      let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      held = NOTHING;
      while (error === undefined && rest.length > 0 && (phase === 'start' || phase === 'interim')) {
        rest = phase === 'start' ? begin(rest) : rest.subarray(countHead(rest));
      }
      if (error !== undefined) return NOTHING;
      const headLength = phase === 'head' ? countHead(rest) : 0;
      if (error !== undefined) return NOTHING;
      const parsedBefore = bodyBytes;
      bodyBytes += rest.length - headLength;
      if (bodyBytes <= MAX_BODY_BYTES) return rest;
      refuse('bytes');
      return rest.subarray(0, headLength + Math.max(0, MAX_PARSED_OF_LONG - parsedBefore));
    },
    release() {
      const released = held;
      held = NOTHING;
      return released;
    },
  };
}
