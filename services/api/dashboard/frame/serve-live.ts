import type { ApiResponse } from '../../http/response.ts';
import type { ApiRequest } from '../../http/route.ts';
import type { LiveHub, Viewer } from './live-hub.ts';
import { createVisit, type LivePart, type VisitDeps } from './visit.ts';
import type { Visitor } from './visitor.ts';

/**
 * What moves on a page: as server-sent events for a browser that asks for them, else as it is now. Where no stream is free the
 * response is a 204, which a browser takes for the end of the stream and no fault; the module of the page then polls.
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
      // Proxies would collect events until a buffer is full.
      'x-accel-buffering': 'no',
    },
    body: stream.body,
  };
}
