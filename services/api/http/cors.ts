import type { IncomingMessage } from 'node:http';
import type { Middleware } from 'koa';
import { RESPONSE_HEADERS } from './response-headers.ts';

const METHODS = 'GET, POST, PATCH, DELETE';

/** What a client of the API may send beside what browsers send by themselves. */
const REQUEST_HEADERS =
  'authorization, content-type, idempotency-key, if-match, if-none-match, if-range, range, x-request-id';

const EXPOSED = Object.keys(RESPONSE_HEADERS).join(', ');

/** How long a browser may keep the response to a preflight request: the longest that all of them allow. */
const PREFLIGHT_SECONDS = 7_200;

/** Pages have sessions, and are for their own origin alone. */
const PAGES = /^\/(?:dashboard|docs|assets)(?:\/|$)/;

export interface CrossOrigin {
  readonly middleware: Middleware;
  /** Headers of the response to a request that is no preflight. */
  headersOf(request: Pick<IncomingMessage, 'url' | 'headers'>): Readonly<Record<string, string>>;
}

/**
 * Lets pages of other origins call the API from a browser (Fetch Standard, CORS protocol). A caller still needs a key:
 * cookies are never allowed.
 *
 * @param origins such as `https://app.example.com`; `*` allows every origin; empty: none
 */
export function allowOrigins(origins: readonly string[], prefix: () => string): CrossOrigin {
  const allowed = new Set(origins);
  const headersOf: CrossOrigin['headersOf'] = ({ url = '', headers: { origin = '' } }) => {
    if (allowed.size === 0) return {};
    // As it was sent: what cannot be read is refused later.
    const [target = ''] = url.split('?', 1);
    const path = target.startsWith(`${prefix()}/`) ? target.slice(prefix().length) : target;
    if (PAGES.test(path)) return {};
    if (origin === '' || !(allowed.has('*') || allowed.has(origin))) return { vary: 'Origin' };
    return {
      vary: 'Origin',
      'access-control-allow-origin': origin,
      'access-control-expose-headers': EXPOSED,
    };
  };
  const middleware: Middleware = async (ctx, next) => {
    const headers = headersOf(ctx.req);
    ctx.set(headers);
    const isAllowed = headers['access-control-allow-origin'] !== undefined;
    if (!isAllowed || ctx.method !== 'OPTIONS' || ctx.get('access-control-request-method') === '')
      return next();
    ctx.remove('access-control-expose-headers');
    ctx.vary('Access-Control-Request-Method');
    ctx.vary('Access-Control-Request-Headers');
    ctx.set({
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': REQUEST_HEADERS,
      'access-control-max-age': String(PREFLIGHT_SECONDS),
    });
    ctx.status = 204;
  };
  return { middleware, headersOf };
}
