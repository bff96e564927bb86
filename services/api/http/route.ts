import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import type { Access, Caller } from './caller.ts';
import type { FirstResponse } from './idempotency.ts';
import type { ApiResponse, TextResponse } from './response.ts';

/**
 * Whose data a route works on. A customer's key decides it; the operator names an account.
 * `one`: exactly one account. `one_or_all`: one, or all at once with `"*"`. `any`: one, or all when none is named.
 * `none`: the route has nothing to do with an account.
 */
export type AccountRule = 'one' | 'one_or_all' | 'any' | 'none';

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** A request that was authenticated, authorized and validated. */
export interface ApiRequest<Query = unknown, Body = unknown> {
  readonly method: string;
  /** As it came, percent-encoding and all. */
  readonly path: string;
  readonly querystring: string;
  readonly caller: Caller;
  /** The account it works on; null for the operator's "all accounts". */
  readonly accountId: string | null;
  readonly query: Query;
  readonly body: Body;
  /** A parameter of the path. */
  param(name: string): string;
  /** A request header in lower case; undefined when absent. */
  header(name: string): string | undefined;
  /** The request itself, for routes that read a body which is not JSON; nothing of it was read. */
  readonly incoming: IncomingMessage;
  /**
   * Runs creating work in one transaction, once for each Idempotency-Key. `identity` stands for the body where that
   * is not JSON.
   */
  once(work: (db: Queryable) => Promise<FirstResponse>, identity?: unknown): Promise<TextResponse>;
  /** What `once` would answer without doing the work, because the key has its response; undefined when it has none yet. */
  kept(): Promise<TextResponse | undefined>;
}

/** What a response looks like in the OpenAPI document. */
export interface ResponseSpec {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** For what is not JSON. */
  readonly contentType?: string;
  /** Media types that it may have instead, as the query asks. */
  readonly otherTypes?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RouteSpec<Query extends z.ZodObject, Body extends z.ZodObject> {
  readonly method: Method;
  /** With parameters in braces, as in OpenAPI: `/exports/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly account: AccountRule;
  readonly query?: Query;
  /** The route reads the query's text by itself; it is not parsed. */
  readonly readsQuery?: boolean;
  readonly body?: Body;
  /** Where bodies may be larger than elsewhere. */
  readonly maxBodyBytes?: number;
  /** Where bodies may hold more values than elsewhere. */
  readonly maxBodyValues?: number;
  /** Members of the body whose numbers keep their digits, as `ExactNumber` where a double would change them. */
  readonly exactMembers?: readonly string[];
  /** The media type of a body that the route reads by itself. */
  readonly rawBody?: string;
  /** What a schema of one field can't say; sees the body as it came. */
  readonly bodyRules?: (body: Readonly<Record<string, unknown>>) => readonly FieldError[];
  /** A POST that creates: takes an Idempotency-Key. */
  readonly creates?: boolean;
  /** Successful responses; problems are the same everywhere. */
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  handle(request: ApiRequest<z.output<Query>, z.output<Body>>): Promise<ApiResponse>;
}

/** A route whose types are checked where it is defined and forgotten after. */
export interface Route extends Omit<RouteSpec<z.ZodObject, z.ZodObject>, 'handle'> {
  handle(request: ApiRequest): Promise<ApiResponse>;
}

type Empty = z.ZodObject<Record<never, never>>;

export function defineRoute<Query extends z.ZodObject = Empty, Body extends z.ZodObject = Empty>(
  spec: RouteSpec<Query, Body>,
): Route {
  // The one who calls it has validated by the very schemas that give the types.
  return {
    ...spec,
    handle: (request) => spec.handle(request as ApiRequest<z.output<Query>, z.output<Body>>),
  };
}
