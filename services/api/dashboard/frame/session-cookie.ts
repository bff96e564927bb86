/** The cookies that hold session tokens in the browser. */
export interface SessionCookies {
  /** The tokens of a `Cookie` header, best protected first, without repeats, up to a limit. */
  read(header: string | undefined): string[];
  /** Values of `Set-Cookie`: the cookie of a new session, and the removal of all others. */
  set(token: string, options: CookieOptions): string[];
  /** Values of `Set-Cookie` that remove the cookies of a `Cookie` header. */
  clear(header: string | undefined): string[];
}

interface CookieOptions {
  /** The form came from an https page. */
  readonly isSecure: boolean;
  /** The dashboard is in a frame of another site. The cookie is then valid only in frames of that site. */
  readonly isFramed: boolean;
  readonly maxAgeSeconds: number;
}

/**
 * With https, cookie names start with `__Host-`: no other host and no http page can set such a cookie. Browsers refuse
 * that over plain http, which is used for a dashboard on the local machine. Browsers store the cookie of a frame
 * separately, and send both cookies if the surrounding site is the dashboard's; different names keep the two apart.
 */
const KINDS = {
  framed: {
    name: '__Host-tandem_framed',
    attributes: 'Path=/; HttpOnly; Secure; SameSite=None; Partitioned',
  },
  secure: { name: '__Host-tandem_session', attributes: 'Path=/; HttpOnly; Secure; SameSite=Lax' },
  plain: { name: 'tandem_session', attributes: 'Path=/; HttpOnly; SameSite=Lax' },
} as const;

/** Limit of tokens per request, because each is looked up. More than a browser holds for this dashboard. */
const MAX_TOKENS = 4;

/** @param isHttpsOnly whether the public URL is https; then a cookie without `__Host-` is not ours */
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
