/** How the browser keeps the token of a session. */
export interface SessionCookies {
  /** The token of a `Cookie` header. */
  read(header: string | undefined): string | undefined;
  set(token: string, options: CookieOptions): string;
  clear(options: Pick<CookieOptions, 'isFramed'>): string;
}

interface CookieOptions {
  /** Within a frame of another site: the cookie is then for that site's frames alone. */
  readonly isFramed: boolean;
  readonly maxAgeSeconds: number;
}

/**
 * With https the name begins with `__Host-`: no other host can set such a cookie, and no page over http. Browsers refuse
 * that on plain http, where the dashboard is on the machine itself.
 */
export function createSessionCookies(isSecure: () => boolean): SessionCookies {
  const name = () => (isSecure() ? '__Host-tandem_session' : 'tandem_session');
  const attributes = (isFramed: boolean) => {
    if (!isSecure()) return 'Path=/; HttpOnly; SameSite=Lax';
    return `Path=/; HttpOnly; Secure; ${isFramed ? 'SameSite=None; Partitioned' : 'SameSite=Lax'}`;
  };
  return {
    read(header) {
      for (const part of (header ?? '').split(';')) {
        const [key = '', value = ''] = part.trim().split('=', 2);
        if (key === name() && /^[\w-]{43}$/.test(value)) return value;
      }
      return undefined;
    },
    set: (token, { isFramed, maxAgeSeconds }) =>
      `${name()}=${token}; ${attributes(isFramed)}; Max-Age=${maxAgeSeconds}`,
    clear: ({ isFramed }) => `${name()}=; ${attributes(isFramed)}; Max-Age=0`,
  };
}
