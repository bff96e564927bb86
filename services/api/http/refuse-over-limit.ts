import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { AppError } from '../../../shared/runtime/errors.ts';
import type { BeginRequest } from '../metrics.ts';
import type { AccountLimiter, Refusal } from './account-limiter.ts';
import { hashKey, keyOf } from './caller.ts';
import type { CrossOrigin } from './cors.ts';
import { type NextLateness, waitLate } from './late-refusal.ts';
import type { Mounted } from './mount-routes.ts';
import { PROBLEMS, problemHeaders, problemText, requestIdOf, toProblem } from './problem.ts';
import type { PublicUrls } from './public-urls.ts';
import type { RefusalLines } from './refusal-lines.ts';
import { readTarget } from './request-target.ts';
import type { Route } from './route.ts';

export interface RefuserDeps {
  readonly limiter: Pick<AccountLimiter, 'refusalOf'>;
  readonly routes: Pick<Mounted, 'find'>;
  readonly nextLateness: NextLateness;
  readonly beginRequest: BeginRequest;
  readonly crossOrigin: Pick<CrossOrigin, 'headersOf'>;
  readonly lines: RefusalLines;
  readonly urls: Pick<PublicUrls, 'prefix' | 'reference'>;
}

/**
 * Refuses requests whose key is over its limits before the app sees them. Thousands of connections may ask in a loop, so the work of
 * a refusal decides what the other accounts notice: no middleware, no route, no body, no span and no line in the log, which counts it.
 * While the refusal waits, only the request itself is held.
 */
export function refuseOverLimit(handle: RequestListener, deps: RefuserDeps): RequestListener {
  return (request, response) => {
    const keyPrint = keyPrintOf(request);
    const refusal =
      keyPrint === undefined
        ? undefined
        : deps.limiter.refusalOf(keyPrint, Number(request.headers['content-length'] ?? 0));
    if (refusal === undefined) return handle(request, response);
    const route = routeOf(request, deps);
    if (isSpared(route, refusal)) return handle(request, response);
    const end = deps.beginRequest();
    waitLate(response, deps.nextLateness(keyPrint), () => {
      if (!response.closed) respond(request, response, refusal.error, deps);
      end({ method: request.method ?? '', route: route?.path, status: PROBLEMS[refusal.error.code].status });
    });
    deps.lines.leaveOut();
  };
}

function keyPrintOf({ headers }: IncomingMessage): string | undefined {
  const key = keyOf(headers.authorization);
  return key === undefined ? undefined : hashKey(key).toString('base64');
}

/** The route of a request that nothing else has looked at. Undefined where there is none, or the target cannot be read. */
export function routeOf(
  { method, url }: IncomingMessage,
  { routes, urls }: Pick<RefuserDeps, 'routes'> & { readonly urls: Pick<PublicUrls, 'prefix'> },
): Route | undefined {
  try {
    return routes.find(method ?? '', readTarget(url ?? '', urls.prefix()).path);
  } catch {
    return undefined;
  }
}

/** Probes and presigned links are served whatever key they carry, and downloads whatever other requests it has sent. */
function isSpared(route: Route | undefined, { sparesDownloads }: Refusal): boolean {
  return route?.access === 'public' || (sparesDownloads && route?.isDownload === true);
}

function respond(
  request: IncomingMessage,
  response: ServerResponse,
  error: AppError,
  { urls, crossOrigin }: RefuserDeps,
): void {
  const requestId = requestIdOf(request);
  const problem = toProblem(error, requestId);
  const body = problemText(problem, urls);
  response.writeHead(problem.status, {
    ...crossOrigin.headersOf(request),
    ...problemHeaders(error),
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    // The rest of the body would have to be read.
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(body);
}
