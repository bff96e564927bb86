import type { ApiResponse } from '../../http/response.ts';
import type { ApiRequest } from '../../http/route.ts';
import type { LiveHub, Viewer } from './live-hub.ts';
import { createVisit, type LivePart, type VisitDeps } from './visit.ts';
import type { Visitor } from './visitor.ts';

/**
 * Serves a page's live parts: as server-sent events if the browser accepts them, otherwise as the present state. When
 * no stream is free the response is a 204, which ends a browser's stream without an error; the page's module then
 * polls.
 */
export async function serveLive(
  request: ApiRequest,
  session: Visitor,
  part: LivePart,
  deps: VisitDeps & { readonly live: LiveHub },
): Promise<ApiResponse> {
  const visit = () => createVisit(request, session, new URLSearchParams(), deps);
  const { query, locale } = visit();
  const viewer: Viewer = {
    session,
    page: JSON.stringify([request.path, query.toString(), locale]),
    read: () => part.read(visit()),
  };
  const accepted = request.header('accept') ?? '';
  if (!accepted.includes('text/event-stream')) {
    const state = await deps.live.poll(viewer);
    return {
      status: 200,
      headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
      body: JSON.stringify(state),
    };
  }
  const stream = await deps.live.open(viewer, request.header('last-event-id'));
  if (stream === undefined) return { status: 204, headers: { 'cache-control': 'no-store' }, body: undefined };
  return {
    status: 200,
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Keeps proxies from buffering the events.
      'x-accel-buffering': 'no',
    },
    body: stream.body,
  };
}
