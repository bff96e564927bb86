import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { PublicUrls } from '../http/public-urls.ts';
import { jsonTextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { openApiOf, type Reader } from './openapi.ts';
import { docsPageOf } from './page.ts';

export interface DocsDeps {
  readonly version: string;
  readonly catalog: Catalog;
  readonly urls: PublicUrls;
}

/**
 * The documents of the other routes and of these. Built on the first request, because the public URL is known
 * only then. Customers may not name an account, so only the operator's document shows `account_id` on their
 * routes.
 */
export function docsRoutes(routes: readonly Route[], { version, urls, catalog }: DocsDeps): Route[] {
  const open = { method: 'GET', access: 'public', account: 'none' } as const;
  const own: Route[] = [
    defineRoute({
      ...open,
      path: '/openapi.json',
      operationId: 'getOpenApi',
      tag: 'account',
      summary: 'This API as an OpenAPI 3.1 document',
      description: 'The document that this API is described by, as customers see it.',
      responses: { 200: { description: 'The document.', schema: openApiSchema } },
      handle: async () => jsonTextResponse(200, made('customer').text),
    }),
    defineRoute({
      method: 'GET',
      access: 'operator',
      account: 'none',
      path: '/admin/openapi.json',
      operationId: 'getOperatorOpenApi',
      tag: 'operator',
      summary: 'This API as an OpenAPI 3.1 document, including operator requests',
      description: 'The document with `account_id` on every request of a customer.',
      responses: { 200: { description: 'The document.', schema: openApiSchema } },
      handle: async () => jsonTextResponse(200, made('operator').text),
    }),
    defineRoute({
      ...open,
      path: '/docs',
      operationId: 'getDocs',
      tag: 'account',
      summary: 'This API as an HTML page',
      description: 'The document for people. It runs no script.',
      responses: { 200: { description: 'The page.', types: ['text/html'] } },
      handle: async () => ({ status: 200, headers: PAGE_HEADERS, body: made('customer').page }),
    }),
  ];
  const documents = new Map<Reader, { text: string; page: string }>();
  const made = (reader: Reader) => {
    const known = documents.get(reader);
    if (known !== undefined) return known;
    const document = openApiOf([...routes, ...own], { version, server: urls.absolute(''), reader, catalog });
    const fresh = { text: JSON.stringify(document), page: docsPageOf({ ...document }, urls) };
    documents.set(reader, fresh);
    return fresh;
  };
  return own;
}

const openApiSchema = z.looseObject({ openapi: z.string() }).meta({ id: 'OpenApiDocument' });

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
};
