import type { Middleware } from 'koa';
import { TRACEPARENT } from '../../../shared/protocol/headers.ts';
import { runInSpan, startSpan } from '../../../shared/runtime/tracing.ts';

/** Probes and scrapes come every few seconds. Their traces would bury the others. */
const QUIET_ROUTES = /\/(?:healthz|readyz|metrics)$/;

/**
 * Handles each request in a span: of the caller's trace when it sends `traceparent`, else of a trace that begins here. The
 * route, which names the span, is known once it was found.
 */
export function traceRequests(): Middleware {
  return async (ctx, next) => {
    const method = ctx.method;
    const path = (ctx.req.url ?? '').split('?', 1)[0] ?? '';
    const parent = ctx.get(TRACEPARENT);
    const span = QUIET_ROUTES.test(path)
      ? undefined
      : startSpan(method, {
          kind: 'server',
          parent: parent === '' ? undefined : parent,
          attributes: { 'http.request.method': method },
        });
    if (span === undefined) return next();
    try {
      await runInSpan(span, next);
    } catch (error) {
      span.fail(error);
      throw error;
    } finally {
      const route: unknown = ctx.state.route;
      if (typeof route === 'string') span.rename(`${method} ${route}`);
      const status = ctx.res.statusCode;
      if (status >= 500) span.fail(`status ${status}`);
      span.setAttributes({
        'http.route': typeof route === 'string' ? route : undefined,
        'http.response.status_code': status,
        'tandem.request_id': typeof ctx.state.requestId === 'string' ? ctx.state.requestId : undefined,
      });
      span.end();
    }
  };
}
