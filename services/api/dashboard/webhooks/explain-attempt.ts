import type { Messages } from '../messages/messages.ts';

/** Why an attempt delivered nothing: each has a text in every language, and a section of the guide on failures. */
export type Failure = Exclude<keyof Messages['webhooks']['failures'], 'docs'>;

/** By the heading of its section in `docs/guides/failures.md`. */
export const FAILURE_SECTIONS: Readonly<Record<Failure, string>> = {
  redirect: 'a-redirect',
  unauthorized: '401-or-403',
  not_found: '404-or-405',
  too_large: '413',
  rejected: 'any-other-4xx',
  gone: '410',
  throttled: '429',
  unavailable: '502-503-or-504',
  server_error: 'any-other-5xx',
  other_status: 'any-other-status',
  dns: 'unknown-name',
  refused: 'connection-refused',
  unreachable: 'unreachable-host',
  reset: 'connection-closed',
  tls: 'no-secure-connection',
  timeout: 'too-slow',
  protocol: 'not-http',
  oversized: 'response-too-long',
  address_refused: 'address-not-allowed',
  invalid_url: 'invalid-url',
  aborted: 'broken-off',
};

const BY_STATUS: Readonly<Record<number, Failure>> = {
  401: 'unauthorized',
  403: 'unauthorized',
  404: 'not_found',
  405: 'not_found',
  407: 'unauthorized',
  410: 'gone',
  413: 'too_large',
  429: 'throttled',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};

const BY_HUNDREDS: Readonly<Record<number, Failure>> = { 3: 'redirect', 4: 'rejected', 5: 'server_error' };

/**
 * @param status of the response; null without one
 * @param outcome as the API shows it: `delivered`, `failed`, or the class of an error
 * @returns undefined for a delivery that was accepted, or is under way
 */
export function failureOf({
  status,
  outcome,
}: {
  readonly status?: number | null | undefined;
  readonly outcome: string;
}): Failure | undefined {
  if (outcome === 'delivered' || outcome === 'under_way') return undefined;
  if (status == null) return isFailure(outcome) ? outcome : 'protocol';
  return BY_STATUS[status] ?? BY_HUNDREDS[Math.floor(status / 100)] ?? 'other_status';
}

function isFailure(name: string): name is Failure {
  return Object.hasOwn(FAILURE_SECTIONS, name);
}
