import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { PublicUrls } from '../http/public-urls.ts';
import { jsonTextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { openApiOf, type Reader } from './openapi.ts';

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
  const own: Route[] = [
    defineRoute({
      method: 'GET',
      access: 'public',
      account: 'none',
      path: '/openapi.json',
      operationId: 'getOpenApi',
      tag: 'account',
      summary: 'This API as an OpenAPI 3.1 document',
      description: 'The document that this API is described by, as customers see it.',
      responses: { 200: { description: 'The document.', schema: openApiSchema } },
      handle: async () => jsonTextResponse(200, textFor('customer')),
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
      handle: async () => jsonTextResponse(200, textFor('operator')),
    }),
  ];
  const texts = new Map<Reader, string>();
  const textFor = (reader: Reader): string => {
    const known = texts.get(reader);
    if (known !== undefined) return known;
    const document = openApiOf([...routes, ...own], { version, server: urls.absolute(''), reader, catalog });
    const text = JSON.stringify(document);
    texts.set(reader, text);
    return text;
  };
  return own;
}

const openApiSchema = z.looseObject({ openapi: z.string() }).meta({ id: 'OpenApiDocument' });
