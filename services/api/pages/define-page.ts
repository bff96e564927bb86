import type { ApiResponse } from '../http/response.ts';
import { type ApiRequest, defineRoute, type Route } from '../http/route.ts';

/**
 * A page, or a file of one, for people: everyone may ask for it, and it is not in the documents of the API, which
 * are for programs. Parameters that somebody adds to its address, such as those of a campaign, do no harm.
 */
export function definePage(path: string, handle: (request: ApiRequest) => Promise<ApiResponse>): Route {
  return defineRoute({ ...PAGE, method: 'GET', path, handle });
}

/** What the form of a page is sent to. It reads the form itself. */
export function defineForm(path: string, handle: (request: ApiRequest) => Promise<ApiResponse>): Route {
  return defineRoute({ ...PAGE, method: 'POST', path, rawBody: FORM_TYPE, handle });
}

/** The media type of a form that has no files. */
export const FORM_TYPE = 'application/x-www-form-urlencoded';

const PAGE = {
  operationId: 'getPage',
  tag: 'account',
  summary: 'A page for people',
  description: 'A page for people.',
  access: 'public',
  account: 'none',
  readsQuery: true,
  responses: { 200: { description: 'The page.', types: ['text/html'] } },
} as const;
