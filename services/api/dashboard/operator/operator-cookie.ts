import { pairsOf } from '../frame/session-cookie.ts';

/** How the browser keeps the token of an operator's session. */
export interface OperatorCookie {
  /** The token of a `Cookie` header. */
  read(header: string | undefined): string | undefined;
  /** The value of `Set-Cookie` of a new session. */
  set(token: string, options: { readonly isSecure: boolean; readonly maxAgeSeconds: number }): string;
  /** Values of `Set-Cookie` that remove what the browser has sent. */
  clear(header: string | undefined): string[];
}

/**
 * A name of its own, so that neither this session nor one of an account is taken for the other, and `Strict`: a request
 * that another site causes comes without it.
 */
const SECURE = { name: '__Host-tandem_operator', attributes: 'Path=/; HttpOnly; Secure; SameSite=Strict' };
const PLAIN = { name: 'tandem_operator', attributes: 'Path=/; HttpOnly; SameSite=Strict' };

/** @param isHttpsOnly whether the public address is known to be https: a cookie without `__Host-` is then another's */
export function createOperatorCookie(isHttpsOnly: () => boolean): OperatorCookie {
  return {
    read(header) {
      const sent = new Map(pairsOf(header));
      const token = sent.get(SECURE.name) ?? (isHttpsOnly() ? undefined : sent.get(PLAIN.name));
      return token !== undefined && /^[\w-]{43}$/.test(token) ? token : undefined;
    },
    set(token, { isSecure, maxAgeSeconds }) {
      const { name, attributes } = isSecure ? SECURE : PLAIN;
      return `${name}=${token}; ${attributes}; Max-Age=${maxAgeSeconds}`;
    },
    clear(header) {
      const sent = new Set(pairsOf(header).map(([name]) => name));
      return [SECURE, PLAIN].flatMap(({ name, attributes }) =>
        sent.has(name) ? `${name}=; ${attributes}; Max-Age=0` : [],
      );
    },
  };
}
