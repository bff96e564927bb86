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

/**
 * Lets pages of other origins call the API from a browser (Fetch Standard, CORS protocol). A caller still needs a key:
 * cookies are never allowed.
 *
 * @param origins such as `https://app.example.com`; `*` allows every origin; empty: none
 */
export function allowOrigins(origins: readonly string[], prefix: () => string): Middleware {
  const allowed = new Set(origins);
  return async (ctx, next) => {
    // As it was sent: what cannot be read is refused later.
    const [target = ''] = (ctx.req.url ?? '').split('?', 1);
    const path = target.startsWith(`${prefix()}/`) ? target.slice(prefix().length) : target;
    if (allowed.size === 0 || PAGES.test(path)) return next();
    ctx.vary('Origin');
    const origin = ctx.get('origin');
    if (origin === '' || !(allowed.has('*') || allowed.has(origin))) return next();
    ctx.set('access-control-allow-origin', origin);
    if (ctx.method !== 'OPTIONS' || ctx.get('access-control-request-method') === '') {
      ctx.set('access-control-expose-headers', EXPOSED);
      return next();
    }
    ctx.vary('Access-Control-Request-Method');
    ctx.vary('Access-Control-Request-Headers');
    ctx.set({
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': REQUEST_HEADERS,
      'access-control-max-age': String(PREFLIGHT_SECONDS),
    });
    ctx.status = 204;
  };
}
