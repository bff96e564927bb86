import { createHash } from 'node:crypto';
import type { ApiResponse } from '../http/response.ts';
import type { ApiRequest } from '../http/route.ts';
import type { Html } from './html.ts';

/** What a page may do beyond showing itself. */
export interface PagePolicy {
  /** Who may show the page in a frame: sources as in `frame-ancestors`. Default: nobody. */
  readonly frameAncestors?: string;
  /** Whether its forms may be sent to this origin. Default: no. */
  readonly hasForms?: boolean;
  /** Whether its modules may send requests to this origin. Default: no. */
  readonly connects?: boolean;
}

/** Everything comes from this origin, nothing is inline, and no text becomes code. */
export function contentSecurityPolicy({
  frameAncestors = "'none'",
  hasForms = false,
  connects = false,
}: PagePolicy = {}): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self'",
    ...(connects ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    `form-action ${hasForms ? "'self'" : "'none'"}`,
    `frame-ancestors ${frameAncestors}`,
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

export function pageHeaders(policy: PagePolicy = {}): Record<string, string> {
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': contentSecurityPolicy(policy),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
  };
}

/** A page that is the same for everyone. A browser asks each time, and gets a 304 while its copy is current. */
export interface StaticPage {
  readonly body: string;
  readonly etag: string;
}

export function staticPage(page: Html): StaticPage {
  const body = `<!doctype html>\n${page.text}`;
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
}

export function staticPageResponse(
  request: Pick<ApiRequest, 'header'>,
  { body, etag }: StaticPage,
  { status = 200, ...policy }: PagePolicy & { readonly status?: number } = {},
): ApiResponse {
  const headers = { ...pageHeaders(policy), etag, 'cache-control': 'no-cache' };
  const known = request.header('if-none-match')?.split(',') ?? [];
  const isKnown = status === 200 && known.some((each) => each.trim().replace(/^W\//, '') === etag);
  return isKnown ? { status: 304, headers, body: undefined } : { status, headers, body };
}
