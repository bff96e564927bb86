import type { ApiResponse } from '../http/response.ts';
import { type ApiRequest, defineRoute, type Route } from '../http/route.ts';

/**
 * A page, or a file of one, for people: everyone may ask for it, and it is not in the documents of the API, which
 * are for programs. Parameters that somebody adds to its address, such as those of a campaign, do no harm.
 */
export function definePage(path: string, handle: (request: ApiRequest) => Promise<ApiResponse>): Route {
  return defineRoute({
    method: 'GET',
    path,
    operationId: 'getPage',
    tag: 'account',
    summary: 'A page for people',
    description: 'A page for people.',
    access: 'public',
    account: 'none',
    readsQuery: true,
    responses: { 200: { description: 'The page.', types: ['text/html'] } },
    handle,
  });
}
