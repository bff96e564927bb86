import { docsPageOf } from '../docs-page.ts';
import { answerJsonText } from '../http/answer.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { openApiOf } from '../openapi.ts';

/** The documentation of the other routes and of itself, made once. */
export function docsRoutes(routes: readonly Route[], version: string): Route[] {
  const open = { method: 'GET', access: 'public', account: 'none' } as const;
  const own: Route[] = [
    defineRoute({
      ...open,
      path: '/openapi.json',
      summary: 'This API as an OpenAPI 3.1 document',
      answers: { 200: { description: 'The document.', contentType: 'application/json' } },
      handle: async () => answerJsonText(200, text),
    }),
    defineRoute({
      ...open,
      path: '/docs',
      summary: 'This API as a page for people',
      answers: { 200: { description: 'The page.', contentType: 'text/html' } },
      handle: async () => ({ status: 200, headers: PAGE_HEADERS, body: page }),
    }),
  ];
  const document = openApiOf([...routes, ...own], version);
  const text = JSON.stringify(document);
  const page = docsPageOf(document);
  return own;
}

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
};
