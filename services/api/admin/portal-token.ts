import { randomBytes } from 'node:crypto';

/** The code of a link, or the token of a session: 256 random bits. Only its hash is stored. */
export function newPortalToken(): string {
  return randomBytes(32).toString('base64url');
}
