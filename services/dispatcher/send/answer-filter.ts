import { EXCERPT_BYTES } from './send.ts';

/** Status lines and headers of an answer, with all interim answers before it. HTTP clients commonly take 16 KiB a head. */
const MAX_HEAD_BYTES = 32 * 1_024;

/** Lines of heads, interim answers included. Real answers have up to some sixty; thousands cost a parser seconds. */
const MAX_HEAD_LINES = 250;

/** Answers such as `100 Continue` and `103 Early Hints` before the one that counts. */
const MAX_INTERIM_ANSWERS = 16;

/**
 * Everything behind the head as it comes, with lengths of chunks, their extensions and trailers: twice what is read of a
 * body, so that a body which is merely long is cut off by its own limit.
 */
const MAX_BODY_BYTES = 32 * 1_024;

/**
 * What the parser sees of an answer that is longer: enough for what is kept of it. Where a receiver pours it out the limit is reached
 * with the first piece, and to parse the rest would cost more than all else that an attempt does.
 */
const MAX_PARSED_OF_LONG = 2 * EXCERPT_BYTES;

/** Pieces in which an answer comes. Each wakes the process up, so one that drips costs more than its bytes do. */
const MAX_READS = 1_000;

const CR = 0x0d;
const LF = 0x0a;
const NOTHING: Buffer = Buffer.alloc(0);

/** Up to the status, which decides whether an answer is an interim one. */
const STATUS_END = 'HTTP/1.1 100'.length;
const INTERIM = /^HTTP\/\d\.\d 1\d\d$/;

/** An answer that is longer, or comes in more pieces, than an attempt may cost. */
export class OversizedAnswerError extends Error {
  override readonly name = 'OversizedAnswerError';
  readonly code = 'ERR_ANSWER_OVERSIZED';
}

/** Something that is no answer to a request of ours. */
class UnaskedAnswerError extends Error {
  override readonly name = 'UnaskedAnswerError';
  readonly code = 'ERR_ANSWER_UNASKED';
}

/** What one connection brings, on its way to the HTTP parser. A new one expects an answer. */
export interface AnswerFilter {
  /** Why nothing is let through any more. */
  readonly error: Error | undefined;
  /** A request goes out: from here on one answer is expected, and counted from nothing. */
  expectAnswer(): void;
  /** The answer is complete; whatever comes now belongs to nothing. */
  expectNothing(): void;
  /** @returns what the parser may see of it; the bytes of a status line may be held back until it is there as a whole */
  admit(chunk: Buffer): Buffer;
  /** @returns what was held back, for the end of the connection */
  release(): Buffer;
}

/**
 * Counts all bytes, lines, interim answers and pieces of an answer before an HTTP parser sees them. Most of what a hostile
 * receiver can send no parser tells its user of: interim answers without an end, thousands of headers, extensions of
 * chunks. Interim answers go no further than here: undici takes `100 Continue` for an error, though any server may send it
 * (RFC 9110, 15.2).
 */
export function createAnswerFilter(): AnswerFilter {
  let phase: 'nothing' | 'start' | 'interim' | 'head' | 'body' = 'start';
  let error: Error | undefined;
  let held = NOTHING;
  let headBytes = 0;
  let headLines = 0;
  /** Bytes of the line under way, without its end. */
  let lineBytes = 0;
  let interimCount = 0;
  let bodyBytes = 0;
  let readCount = 0;

  const refuse = (what: string) => {
    error ??= new OversizedAnswerError(`the response has too many ${what}`);
  };

  /** @returns how much of it belongs to the head under way; after its blank line, `phase` is another one */
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

  /** Decides what kind of answer begins. @returns what is left to be looked at */
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
