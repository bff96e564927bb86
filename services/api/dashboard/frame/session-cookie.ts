/** How the browser keeps the token of a session. */
export interface SessionCookies {
  /** The tokens of a `Cookie` header, the best kept first: a few of them, each once. */
  read(header: string | undefined): string[];
  /** Values of `Set-Cookie`: the cookie of a new session, and the end of all others that the browser may hold. */
  set(token: string, options: CookieOptions): string[];
  /** Values of `Set-Cookie` that remove the cookies of a `Cookie` header. */
  clear(header: string | undefined): string[];
}

interface CookieOptions {
  /** The form came from a page over https. */
  readonly isSecure: boolean;
  /** Within a frame of another site: the cookie is then for that site's frames alone. */
  readonly isFramed: boolean;
  readonly maxAgeSeconds: number;
}

/**
 * With https the names begin with `__Host-`: no other host can set such a cookie, and no page over http. Browsers refuse
 * that on plain http, where the dashboard is on the machine itself. The cookie of a frame is kept apart by browsers, and
 * comes with the other where the site around the frame is that of the dashboard: with a name of its own one cannot be
 * taken for the other.
 */
const KINDS = {
  framed: {
    name: '__Host-tandem_framed',
    attributes: 'Path=/; HttpOnly; Secure; SameSite=None; Partitioned',
  },
  secure: { name: '__Host-tandem_session', attributes: 'Path=/; HttpOnly; Secure; SameSite=Lax' },
  plain: { name: 'tandem_session', attributes: 'Path=/; HttpOnly; SameSite=Lax' },
} as const;

/** More than a browser holds of this dashboard: each is looked up. */
const MAX_TOKENS = 4;

/** @param isHttpsOnly whether the public address is known to be https: a cookie without `__Host-` is then another's */
export function createSessionCookies(isHttpsOnly: () => boolean): SessionCookies {
  const known = () => [KINDS.framed, KINDS.secure, ...(isHttpsOnly() ? [] : [KINDS.plain])];
  const remove = ({ name, attributes }: (typeof KINDS)[keyof typeof KINDS]) =>
    `${name}=; ${attributes}; Max-Age=0`;
  return {
    read(header) {
      const sent = pairsOf(header);
      const tokens = known().flatMap(({ name }) =>
        sent.flatMap(([key, value]) => (key === name ? value : [])),
      );
      return [...new Set(tokens.filter((value) => /^[\w-]{43}$/.test(value)))].slice(0, MAX_TOKENS);
    },
    set(token, { isSecure, isFramed, maxAgeSeconds }) {
      const kind = isSecure ? (isFramed ? KINDS.framed : KINDS.secure) : KINDS.plain;
      const others = Object.values(KINDS).filter(
        (each) => each !== kind && (isSecure || each === KINDS.plain),
      );
      return [...others.map(remove), `${kind.name}=${token}; ${kind.attributes}; Max-Age=${maxAgeSeconds}`];
    },
    clear(header) {
      const sent = new Set(pairsOf(header).map(([key]) => key));
      return Object.values(KINDS).flatMap((kind) => (sent.has(kind.name) ? remove(kind) : []));
    },
  };
}

/** The names and values of a `Cookie` header. */
export function pairsOf(header = ''): [name: string, value: string][] {
  return header.split(';').map((part) => {
    const [name = '', value = ''] = part.trim().split('=', 2);
    return [name, value];
  });
}
