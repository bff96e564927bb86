import type { Context, Middleware } from 'koa';
import { newId } from '../../../shared/domain/ids.ts';
import { PoolBusyError } from '../../../shared/postgres/pool.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { StorageFullError, StorageRefusedError } from '../../../shared/storage/storage.ts';
import type { AccountLimiter, Refusal } from './account-limiter.ts';
import { hashKey, keyOf } from './caller.ts';
import { latenessMs, REFUSAL_WAITS, refuseLate, spread } from './late-refusal.ts';
import type { Mounted } from './mount-routes.ts';
import {
  methodNotAllowed,
  type Problem,
  type ProblemPage,
  problemHeaders,
  problemText,
  toProblem,
} from './problem.ts';
import type { PublicUrls } from './public-urls.ts';
import { pathOf, readTarget } from './request-target.ts';

/** Request IDs that a client may send. Any other is replaced, so that it cannot break a log line. */
const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;

const BUSY_RETRY_SECONDS = 2;

/** Time for an operator to free space or correct rights. */
const STORAGE_RETRY_SECONDS = 60;

/**
 * Statuses of refusals that are delayed, to slow down clients that retry in a loop. Other errors are sent at
 * once, because somebody may be working on the request.
 */
const LATE_STATUSES: ReadonlySet<number> = new Set([400, 401, 429]);

/** Log lines of refusals per second. The next line has the number of those left out. */
const REFUSAL_LINES_PER_SECOND = 10;

/** Probes come every second. Their lines would bury the others. */
const QUIET_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** Wraps every request: assigns its ID, turns an error into a problem document, and writes one log line. */
export function errorHandler(
  log: Log,
  routes: Pick<Mounted, 'allowedMethods' | 'find'>,
  isStoreUp: () => Promise<boolean>,
  urls: Pick<PublicUrls, 'prefix' | 'reference'>,
  refusalMs: number,
  limiter: Pick<AccountLimiter, 'refusalOf'>,
  pageOf: ProblemPage,
): Middleware {
  const refusals = createSampler(REFUSAL_LINES_PER_SECOND);
  const send: SendProblem = (ctx, problem, headers) => sendProblem(ctx, problem, headers, { urls, pageOf });
  return async (ctx, next) => {
    const refusal = refusalOf(ctx, limiter);
    if (refusal !== undefined && isRefused(ctx, refusal, urls.prefix(), routes)) {
      ctx.respond = false;
      await refuseLate(ctx.req, ctx.res, refusal.error, latenessMs(refusalMs, refusal.count), urls);
      refusals.leaveOut();
      return;
    }
    const startedAtMs = performance.now();
    const asked = ctx.get('x-request-id');
    const requestId = REQUEST_ID.test(asked) ? asked : newId('req');
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
    if (!LATE_STATUSES.has(ctx.status)) {
      writeLine(log, ctx, startedAtMs, failure, 0);
      return;
    }
    const unwritten = refusals.take();
    if (unwritten !== undefined) writeLine(log, ctx, startedAtMs, failure, unwritten);
    ctx.res.emit(REFUSAL_WAITS);
    if (refusalMs > 0) await sleep(spread(refusalMs));
  };
}

function refusalOf({ req }: Context, limiter: Pick<AccountLimiter, 'refusalOf'>): Refusal | undefined {
  const key = keyOf(req.headers.authorization);
  if (key === undefined) return undefined;
  return limiter.refusalOf(hashKey(key).toString('base64'), Number(req.headers['content-length'] ?? 0));
}

/** Probes and presigned links are served whatever key they carry, and downloads whatever other requests it has sent. */
function isRefused(
  { req }: Context,
  { sparesDownloads }: Refusal,
  prefix: string,
  routes: Pick<Mounted, 'find'>,
): boolean {
  try {
    const route = routes.find(req.method ?? '', readTarget(req.url ?? '', prefix).path);
    return route?.access !== 'public' && !(sparesDownloads && route?.isDownload === true);
  } catch {
    return true;
  }
}

/** Selects which log lines are written, up to a number per second. */
interface Sampler {
  /** @returns how many lines were left out before this one; undefined when this one is left out too */
  take(): number | undefined;
  leaveOut(): void;
}

function createSampler(perSecond: number): Sampler {
  let second = 0;
  let written = 0;
  let leftOut = 0;
  return {
    take() {
      const now = Math.floor(performance.now() / 1_000);
      if (now !== second) written = 0;
      second = now;
      if (written >= perSecond) {
        leftOut += 1;
        return undefined;
      }
      written += 1;
      const before = leftOut;
      leftOut = 0;
      return before;
    },
    leaveOut() {
      leftOut += 1;
    },
  };
}

/** Checks the target before anything parses it, such as Koa's `ctx.path`. */
function takeTarget(ctx: Context, prefix: string): void {
  const asked = ctx.req.url ?? '';
  ctx.req.url = '/';
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
  else if (QUIET_PATHS.has(ctx.path)) log.debug('request.handled', line);
  else log.info('request.handled', line);
}
