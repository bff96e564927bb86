import type { KeptHeaders } from './kept-headers.ts';

/** One POST. `body` holds exactly the signed bytes. */
export interface SendRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Aborts the request, which then ends as `aborted`. */
  readonly signal?: AbortSignal;
}

/** Why there is no complete response. `aborted` is our own doing and says nothing about the endpoint. */
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
      /** The first bytes of the response as text, at most `EXCERPT_BYTES`. */
      readonly excerpt: string;
      /** The body is longer than the excerpt. */
      readonly isCut: boolean;
      readonly headers: KeptHeaders;
      readonly durationMs: number;
    }
  | {
      readonly kind: 'failed';
      readonly errorClass: SendErrorClass;
      /** For the endpoint's owner: without internal addresses and stack traces. */
      readonly message: string;
      readonly durationMs: number;
    };

/**
 * Sends one request and never rejects. Redirects are ordinary responses. Nothing is retried or decompressed, the
 * response is read up to a limit, and one deadline covers everything.
 */
export type Send = (request: SendRequest) => Promise<SendOutcome>;

/** An HTTP client with the connections that it keeps. */
export interface Sender {
  readonly send: Send;
  /** Closes all connections. Requests under way end as `aborted` or `reset`. */
  close(): Promise<void>;
}

export interface SenderConfig {
  /** Time limit for look-up, connection, request and complete response together. */
  readonly timeoutMs: number;
}

/** Recorded bytes of a response's body, shown to the endpoint's owner. */
export const EXCERPT_BYTES = 1_024;

/**
 * A longer body is cut off, and the response's status still counts. For the other limits of a response see
 * `answer-filter.ts`.
 */
export const MAX_ANSWER_BYTES = 16 * 1_024;
