import type { PublicUrls } from '../http/public-urls.ts';
import { jsonTextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { openApiOf, type Reader } from './openapi.ts';
import { docsPageOf } from './page.ts';

export interface DocsDeps {
  readonly version: string;
  readonly urls: PublicUrls;
}

/**
 * The documents of the other routes and of these. Built on the first request, because the public URL is known
 * only then. Customers may not name an account, so only the operator's document shows `account_id` on their
 * routes.
 */
export function docsRoutes(routes: readonly Route[], { version, urls }: DocsDeps): Route[] {
  const open = { method: 'GET', access: 'public', account: 'none' } as const;
  const own: Route[] = [
    defineRoute({
      ...open,
      path: '/openapi.json',
      summary: 'This API as an OpenAPI 3.1 document',
      responses: { 200: { description: 'The document.', contentType: 'application/json' } },
      handle: async () => jsonTextResponse(200, made('customer').text),
    }),
    defineRoute({
      method: 'GET',
      access: 'operator',
      account: 'none',
      path: '/admin/openapi.json',
      summary: 'This API as an OpenAPI 3.1 document, including operator requests',
      responses: { 200: { description: 'The document.', contentType: 'application/json' } },
      handle: async () => jsonTextResponse(200, made('operator').text),
    }),
    defineRoute({
      ...open,
      path: '/docs',
      summary: 'This API as an HTML page',
      responses: { 200: { description: 'The page.', contentType: 'text/html' } },
      handle: async () => ({ status: 200, headers: PAGE_HEADERS, body: made('customer').page }),
    }),
  ];
  const documents = new Map<Reader, { text: string; page: string }>();
  const made = (reader: Reader) => {
    const known = documents.get(reader);
    if (known !== undefined) return known;
    const document = openApiOf([...routes, ...own], { version, server: urls.absolute(''), reader });
    const fresh = { text: JSON.stringify(document), page: docsPageOf(document, urls) };
    documents.set(reader, fresh);
    return fresh;
  };
  return own;
}

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
};
