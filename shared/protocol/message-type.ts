import type { IHeaders } from 'kafkajs';

/** Header of commands, job events and capture's state: the message's record name, so that a reader may pass over it unread. */
export function toTypeHeader(type: string): IHeaders {
  return { type };
}

/** Empty without the header. */
export function readTypeHeader(headers: { readonly type?: unknown } | undefined): string {
  return String(headers?.type ?? '');
}
