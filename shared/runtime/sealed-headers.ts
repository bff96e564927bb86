import type { SecretBox } from './secret-box.ts';

/**
 * An endpoint's own headers as the control store keeps them: one sealed text, since they often hold a token of the receiver. An
 * object is what earlier versions kept, in clear; the api seals those at its start.
 */
export type StoredHeaders = string | Readonly<Record<string, string>>;

export function sealHeaders(headers: Readonly<Record<string, string>>, box: Pick<SecretBox, 'seal'>): string {
  return box.seal(JSON.stringify(headers));
}

/** @throws Error when the text was altered, or sealed with a key that is not known */
export function openHeaders(
  stored: StoredHeaders,
  box: Pick<SecretBox, 'open'>,
): Readonly<Record<string, string>> {
  return typeof stored === 'string' ? JSON.parse(box.open(stored)) : stored;
}
