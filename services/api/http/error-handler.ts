import type { Context, Middleware } from 'koa';
import { PoolBusyError } from '../../../shared/postgres/pool.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { StorageFullError, StorageRefusedError } from '../../../shared/storage/storage.ts';
import { type NextLateness, waitLate } from './late-refusal.ts';
import type { Mounted } from './mount-routes.ts';
import { PROBES } from './pace-public.ts';
import {
  methodNotAllowed,
  type Problem,
  type ProblemPage,
  problemHeaders,
  problemText,
  requestIdOf,
  toProblem,
} from './problem.ts';
import type { PublicUrls } from './public-urls.ts';
import type { RefusalLines } from './refusal-lines.ts';
import { pathOf, readTarget, requireOneHost } from './request-target.ts';

const BUSY_RETRY_SECONDS = 2;

/** Time for an operator to free space or correct rights. */
const STORAGE_RETRY_SECONDS = 60;

/**
 * Statuses of refusals that are delayed, to slow down clients that retry in a loop. Other errors are sent at
 * once, because somebody may be working on the request.
 */
const LATE_STATUSES: ReadonlySet<number> = new Set([400, 401, 429]);

export interface ErrorHandlerDeps {
  readonly log: Log;
  readonly routes: Pick<Mounted, 'allowedMethods'>;
  isStoreUp(): Promise<boolean>;
  readonly urls: Pick<PublicUrls, 'prefix' | 'reference'>;
  readonly nextLateness: NextLateness;
  readonly lines: RefusalLines;
  readonly pageOf: ProblemPage;
}

/** Wraps every request: assigns its ID, turns an error into a problem document, and writes one log line. */
export function errorHandler({
  log,
  routes,
  isStoreUp,
  urls,
  nextLateness,
  lines,
  pageOf,
}: ErrorHandlerDeps): Middleware {
  const send: SendProblem = (ctx, problem, headers) => sendProblem(ctx, problem, headers, { urls, pageOf });
  return async (ctx, next) => {
    const startedAtMs = performance.now();
    const requestId = requestIdOf(ctx.req);
    ctx.state.requestId = requestId;
    ctx.set('x-request-id', requestId);
    let failure: unknown;
    try {
      takeTarget(ctx, urls.prefix());
      await next();
      if (ctx.status === 404 && ctx.body == null) refuseUnknown(ctx, routes.allowedMethods(ctx.path), send);
    } catch (error) {
      failure = error;
      const shownError = await errorForCaller(error, isStoreUp);
      send(ctx, toProblem(shownError, requestId), problemHeaders(shownError));
    }
    if (!isLate(ctx)) {
      writeLine(log, ctx, startedAtMs, failure, 0);
      return;
    }
    const unwritten = lines.take();
    if (unwritten !== undefined) writeLine(log, ctx, startedAtMs, failure, unwritten);
    await new Promise<void>((resolve) => waitLate(ctx.res, nextLateness(), resolve));
  };
}

/** Nobody stands for an altered link, so its refusal is late too. A key that lacks a right has limits of its own. */
function isLate({ status, state }: Context): boolean {
  return LATE_STATUSES.has(status) || (status === 403 && state.caller === undefined);
}

/** Checks host and target before anything parses them, such as Koa's `ctx.path`. */
function takeTarget(ctx: Context, prefix: string): void {
  const asked = ctx.req.url ?? '';
  ctx.req.url = '/';
  requireOneHost(ctx.req);
  const { path, querystring } = readTarget(asked, prefix);
  ctx.req.url = querystring === '' ? path : `${path}?${querystring}`;
}

async function errorForCaller(error: unknown, isStoreUp: () => Promise<boolean>): Promise<unknown> {
  if (error instanceof AppError) return error;
  if (error instanceof PoolBusyError) return databasesBusy(error);
  if (error instanceof StorageFullError || error instanceof StorageRefusedError) return storageAway(error);
  return (await isStoreUp()) ? error : storeAway(error);
}

function databasesBusy(cause: unknown): AppError {
  return new AppError('unavailable', 'The databases have too many requests at once. Try again shortly.', {
    retryAfterSeconds: BUSY_RETRY_SECONDS,
    cause,
  });
}

/** The log has the cause. Customers are not shown whether a disk is full. */
function storageAway(cause: unknown): AppError {
  return new AppError('unavailable', 'Files cannot be stored or read at present. Try again later.', {
    retryAfterSeconds: STORAGE_RETRY_SECONDS,
    cause,
  });
}

/** The error of a query does not show whether the control store is down; a probe does. */
function storeAway(cause: unknown): AppError {
  return new AppError('unavailable', 'The control store does not respond. Try again shortly.', {
    retryAfterSeconds: BUSY_RETRY_SECONDS,
    cause,
  });
}

function refuseUnknown(ctx: Context, allowed: string[], send: SendProblem): void {
  const { requestId } = ctx.state as { requestId: string };
  if (allowed.length === 0) {
    const unknown = new AppError('not_found', `There is nothing at ${ctx.path}.`);
    send(ctx, toProblem(unknown, requestId), {});
    return;
  }
  send(ctx, methodNotAllowed(ctx.method, allowed, requestId), { allow: allowed.join(', ') });
}

type SendProblem = (ctx: Context, problem: Problem, headers: Record<string, string>) => void;

function sendProblem(
  ctx: Context,
  problem: Problem,
  headers: Record<string, string>,
  { urls, pageOf }: { readonly urls: Pick<PublicUrls, 'prefix' | 'reference'>; readonly pageOf: ProblemPage },
): void {
  const page = pageOf(problem, {
    path: pathOf(ctx.originalUrl, urls.prefix()),
    header: (name) => ctx.get(name) || undefined,
    incoming: ctx.req,
  });
  ctx.body = page?.body ?? problemText(problem, urls);
  ctx.status = problem.status;
  ctx.set({
    ...headers,
    ...(page?.headers ?? { 'content-type': 'application/problem+json; charset=utf-8' }),
  });
  ctx.state.problemCode = problem.code;
}

/** The path is logged without its query, which may hold a presigned URL's signature. */
function writeLine(
  log: Log,
  ctx: Context,
  startedAtMs: number,
  failure: unknown,
  refusedUnwritten: number,
): void {
  const { requestId, caller, accountId, problemCode } = ctx.state as Record<string, string | undefined>;
  const line = {
    requestId,
    method: ctx.method,
    path: ctx.path,
    status: ctx.status,
    durationMs: Math.round((performance.now() - startedAtMs) * 10) / 10,
    caller,
    accountId,
    code: problemCode,
    bytes: ctx.response.length,
    ...(ctx.status >= 500 ? { error: failure } : {}),
    ...(refusedUnwritten > 0 ? { refusedUnwritten } : {}),
  };
  if (ctx.status >= 500) log.error('request.failed', line);
  // Probes come every second. Their lines would bury the others.
  else if (PROBES.has(ctx.path)) log.debug('request.handled', line);
  else log.info('request.handled', line);
}
