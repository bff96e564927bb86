import type { KeptHeaders } from './kept-headers.ts';

/** One POST, ready to go: what is in `body` is what was signed. */
export interface SendRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Aborts the request, which then ends as `aborted`. */
  readonly signal?: AbortSignal;
}

/** Why there is no complete answer. `aborted` is our own doing and says nothing of the endpoint. */
export type SendErrorClass =
  | 'invalid_url'
  | 'address_refused'
  | 'dns'
  | 'refused'
  | 'unreachable'
  | 'reset'
  | 'tls'
  | 'timeout'
  | 'protocol'
  | 'oversized'
  | 'aborted';

export type SendOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly retryAfter: string | undefined;
      /** The first bytes of the answer as text, at most `EXCERPT_BYTES` of them. */
      readonly excerpt: string;
      /** The body is longer than the excerpt. */
      readonly isCut: boolean;
      readonly headers: KeptHeaders;
      readonly durationMs: number;
    }
  | {
      readonly kind: 'failed';
      readonly errorClass: SendErrorClass;
      /** For the endpoint's owner: no address of ours, no stack. */
      readonly message: string;
      readonly durationMs: number;
    };

/**
 * Sends one request and never rejects. Redirects are answers like any other, nothing is retried, nothing is
 * decompressed, the answer is read up to a limit, and everything together ends within one deadline.
 */
export type Send = (request: SendRequest) => Promise<SendOutcome>;

/** A way to send, with the connections it keeps. */
export interface Sender {
  readonly send: Send;
  /** Closes all connections; what is under way ends as `aborted` or `reset`. */
  close(): Promise<void>;
}

export interface SenderConfig {
  /** For name, connection, request and whole answer together. */
  readonly timeoutMs: number;
}

/** What is kept of an answer's body, to be shown to the endpoint's owner. */
export const EXCERPT_BYTES = 1_024;

/** A body longer than this is cut off; its status counts all the same. What else an answer may be is in `answer-filter.ts`. */
export const MAX_ANSWER_BYTES = 16 * 1_024;
