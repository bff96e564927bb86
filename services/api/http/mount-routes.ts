import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Pool } from 'pg';
import { z } from 'zod';
import type { Secret } from '../../../shared/runtime/env.ts';
import type { SecretBox } from '../../../shared/runtime/secret-box.ts';
import type { AccountLimiter } from './account-limiter.ts';
import {
  ANONYMOUS,
  accountOf,
  actorOf,
  authenticate,
  authorize,
  type Caller,
  type KeyStore,
  limitedAccountOf,
} from './caller.ts';
import { type RequestIdentity, readIdempotencyKey, respondOnce, storedResponse } from './idempotency.ts';
import type { PublicUrls } from './public-urls.ts';
import { readJsonBody, SLOW_BODY_MS } from './read-json-body.ts';
import type { RequestLimits } from './request-limits.ts';
import { readQuery } from './request-target.ts';
import type { ApiResponse } from './response.ts';
import type { ApiRequest, Route } from './route.ts';
import { inPieces, isLarge } from './slow-reader.ts';
import { invalid, validate } from './validate.ts';

export interface MountDeps {
  readonly pool: Pool;
  readonly adminKey: Secret;
  readonly keys: KeyStore;
  /** Seals the responses kept for idempotency keys. */
  readonly responseBox: SecretBox;
  readonly maxBodyBytes: number;
  readonly requestLimits: RequestLimits;
  readonly urls: PublicUrls;
  readonly limiter: AccountLimiter;
  accountExists(accountId: string): Promise<boolean>;
}

/** Values of a body, unless its route allows more: an export may name all 1,600 columns of a table. */
const MAX_BODY_VALUES = 5_000;

const NO_QUERY = z.strictObject({});

const OPERATOR_ACCOUNT = {
  account_id: z
    .string()
    .max(100)
    .optional()
    .meta({ description: 'For the operator only: the account of the request.' }),
};

/**
 * The route's own schemas, and `account_id` where the operator names the account. The OpenAPI documents show the same, the
 * customers' without what they may not send.
 */
export function schemasOf(
  route: Route,
  sender: 'customer' | 'operator' = 'operator',
): { query: z.ZodObject; body: z.ZodObject | undefined } {
  const query = route.query ?? NO_QUERY;
  if (route.account === 'none' || (sender === 'customer' && route.access !== 'operator'))
    return { query, body: route.body };
  return { query: query.extend(OPERATOR_ACCOUNT), body: route.body?.extend(OPERATOR_ACCOUNT) };
}

/**
 * Serves the routes. Checks run in the order of what a caller may learn: authentication, authorization, form
 * of the request. Only then is anything read.
 */
export function mountRoutes(routes: readonly Route[], deps: MountDeps): Mounted {
  const router = new Router({ sensitive: true });
  const { limiter } = deps;
  const keys = limiter.limitKeys(deps.keys);
  const layers = new Map<unknown, Route>();
  for (const route of routes) {
    const { query, body } = schemasOf(route);
    const layer = router.register(route.path.replace(/\{(\w+)\}/g, ':$1'), [route.method], async (ctx) => {
      ctx.state.route = route.path;
      const caller = await callerOf(ctx, route, { ...deps, keys });
      const limitedAccountId = limitedAccountOf(caller);
      if (route.isDownload !== true) await limiter.countKey(limitedAccountId, caller.keyPrint);
      const release = await limiter.admit(limitedAccountId, caller.keyPrint);
      try {
        ctx.set(await limiter.rateLimitOf(limitedAccountId, caller.keyPrint));
        const hasLength = header(ctx, 'transfer-encoding') === undefined;
        if (body !== undefined)
          await limiter.chargeBody(
            limitedAccountId,
            hasLength ? bytesToRead(ctx, route, deps) : 1,
            caller.keyPrint,
          );
        const { socket } = ctx.req;
        const bytesBefore = socket.bytesRead;
        const readsFromMs = performance.now();
        const request = await readRequest(ctx, route, { query, body }, caller, deps).finally(() =>
          hasLength ? undefined : limiter.chargeRead(limitedAccountId, socket.bytesRead - bytesBefore),
        );
        if (performance.now() - readsFromMs >= SLOW_BODY_MS) await callerOf(ctx, route, { ...deps, keys });
        // An upload arrives at its client's pace, and has a limiter of its own.
        const end = route.rawBody === undefined ? await limiter.run(limitedAccountId) : () => undefined;
        try {
          const response = await route.handle(request);
          Object.assign(ctx.state, response.servedFor);
          send(ctx, response, deps);
        } finally {
          end();
        }
      } finally {
        release();
      }
    });
    layers.set(layer, route);
  }
  return {
    middleware: router.routes() as Middleware,
    allowedMethods: (path) => [...new Set(router.match(path, 'GET').path.flatMap((layer) => layer.methods))],
    find: rememberRoutes(
      (method, path) =>
        router.match(path, method).pathAndMethod.flatMap((layer) => layers.get(layer) ?? [])[0],
    ),
  };
}

/** Targets whose route is remembered; beyond this all are forgotten. */
const MAX_REMEMBERED = 1_000;

/** A client that is refused asks for the same again and again. To match all routes takes longer than the rest of a refusal. */
function rememberRoutes(find: Mounted['find']): Mounted['find'] {
  const found = new Map<string, Route | undefined>();
  return (method, path) => {
    const target = `${method} ${path}`;
    if (found.has(target)) return found.get(target);
    if (found.size >= MAX_REMEMBERED) found.clear();
    const route = find(method, path);
    found.set(target, route);
    return route;
  };
}

export interface Mounted {
  readonly middleware: Middleware;
  /** Methods that a path can be asked with; none when there is no such path. */
  allowedMethods(path: string): string[];
  /** The route that serves such a request. */
  find(method: string, path: string): Route | undefined;
}

async function readRequest(
  ctx: Context,
  route: Route,
  schemas: { query: z.ZodObject; body: z.ZodObject | undefined },
  caller: Caller,
  deps: MountDeps,
): Promise<ApiRequest> {
  const idempotencyKey =
    route.creates === true ? readIdempotencyKey(header(ctx, 'idempotency-key')) : undefined;
  const maxBytes = maxBytesOf(route, deps);
  const rawBody =
    schemas.body === undefined
      ? undefined
      : await readJsonBody(ctx.req, {
          maxBytes,
          maxValues: route.maxBodyValues ?? MAX_BODY_VALUES,
          jsonBodyMs: deps.requestLimits.jsonBodyMs,
          exactMembers: route.exactMembers ?? [],
        });
  const query = validate(
    schemas.query,
    route.readsQuery === true ? {} : inDigits(schemas.query, readQuery(ctx.querystring)),
    'query',
  );
  const body =
    schemas.body === undefined ? {} : validate(schemas.body, rawBody, 'body', route.bodyRules ?? (() => []));
  const accountId = await accountOf(caller, route.account, namedAccount(query, body), deps.accountExists);
  ctx.state.accountId = accountId ?? undefined;
  const identity = {
    accountId: accountId ?? '*',
    route: `${route.method} ${pathAsRouted(ctx, route)}`,
    key: idempotencyKey,
    keyPrint: caller.keyPrint,
    body: rawBody,
  };
  return {
    method: ctx.method,
    path: ctx.path,
    querystring: ctx.querystring,
    requestId: String(ctx.state.requestId),
    caller,
    accountId,
    query,
    body,
    param: (name) => String(ctx.params[name] ?? ''),
    header: (name) => header(ctx, name),
    incoming: ctx.req,
    ...onceOnly(deps, identity),
  };
}

/** Parameters are whole numbers. What Number() takes beside digits, such as 0x10 or 1e2, is a mistake. */
function inDigits(schema: z.ZodObject, query: Readonly<Record<string, string>>): Record<string, unknown> {
  const isFault = (name: string, text: string) => isNumber(schema.shape[name]) && !/^-?\d+$/.test(text);
  return Object.fromEntries(
    Object.entries(query).map(([name, text]) => [name, isFault(name, text) ? Number.NaN : text]),
  );
}

function isNumber(schema: unknown): boolean {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) return isNumber(schema.unwrap());
  return schema instanceof z.ZodNumber;
}

/** One text for all spellings of a path: a slash at its end, characters that need not be encoded. */
function pathAsRouted(ctx: Context, route: Route): string {
  return route.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(ctx.params[name] ?? '')),
  );
}

/** How a route runs creating work once per Idempotency-Key. */
export function onceOnly(
  { pool, responseBox }: Pick<MountDeps, 'pool' | 'responseBox'>,
  identity: RequestIdentity,
): Pick<ApiRequest, 'once' | 'kept'> {
  return {
    once: (work, body = identity.body) => respondOnce(pool, responseBox, { ...identity, body }, work),
    kept: () => storedResponse(pool, responseBox, identity),
  };
}

function maxBytesOf(route: Route, { maxBodyBytes }: Pick<MountDeps, 'maxBodyBytes'>): number {
  return Math.max(maxBodyBytes, route.maxBodyBytes ?? 0);
}

/** A body with too large a declared length is not read. */
function bytesToRead(ctx: Context, route: Route, deps: MountDeps): number {
  const maxBytes = maxBytesOf(route, deps);
  const length = Number(header(ctx, 'content-length') ?? 0);
  return length > maxBytes ? 0 : length;
}

/** A public route ignores the key, so that a wrong key, or one over its rate, does not fail a probe. */
async function callerOf(ctx: Context, route: Route, deps: MountDeps): Promise<Caller> {
  if (route.access === 'public') return ANONYMOUS;
  const caller = await authenticate(header(ctx, 'authorization'), deps.adminKey, deps.keys);
  ctx.state.caller = actorOf(caller);
  authorize(caller, route.access);
  return caller;
}

/** @throws AppError `invalid` when the query and the body name two accounts */
function namedAccount(query: Record<string, unknown>, body: Record<string, unknown>) {
  const accountId = body.account_id ?? query.account_id;
  const pointer = body.account_id === undefined ? 'account_id' : '/account_id';
  if (query.account_id !== undefined && query.account_id !== accountId) {
    throw invalid([{ pointer, detail: 'must be the account that the query names' }]);
  }
  return { pointer, accountId: accountId === undefined ? undefined : String(accountId) };
}

function header(ctx: Context, name: string): string | undefined {
  const value = ctx.req.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function send(
  ctx: Context,
  { status, headers, body, cookies }: ApiResponse,
  { urls }: Pick<MountDeps, 'urls'>,
): void {
  // The order matters: assigning a body makes Koa choose a status, a type and a length.
  if (typeof body === 'string' && isLarge(body)) {
    const bytes = Buffer.from(body);
    ctx.body = inPieces(bytes);
    ctx.length = bytes.length;
  } else ctx.body = body ?? null;
  ctx.status = status;
  ctx.set(headers);
  if (cookies !== undefined) ctx.set('set-cookie', [...cookies]);
  // Routes give their own paths. The public prefix is added here. Redirects are absolute.
  const { location } = headers;
  if (location?.startsWith('/')) ctx.set('location', urls.path(location));
}
