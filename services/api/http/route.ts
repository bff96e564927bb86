import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import type { Access, AccountRule, Caller } from './caller.ts';
import type { FirstResponse } from './idempotency.ts';
import type { ApiResponse, TextResponse } from './response.ts';

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** A request that was authenticated, authorized and validated. */
export interface ApiRequest<Query = unknown, Body = unknown> {
  readonly method: string;
  /** Still percent-encoded. */
  readonly path: string;
  readonly querystring: string;
  readonly caller: Caller;
  /** The account of the request; null for the operator's "all accounts". */
  readonly accountId: string | null;
  readonly query: Query;
  readonly body: Body;
  /** A parameter of the path. */
  param(name: string): string;
  /** A request header in lower case; undefined when absent. */
  header(name: string): string | undefined;
  /** The request itself, unread, for routes with a body that is not JSON. */
  readonly incoming: IncomingMessage;
  /** Runs creating work in one transaction, once per Idempotency-Key. `identity` replaces a body that is not JSON. */
  once(work: (db: Queryable) => Promise<FirstResponse>, identity?: unknown): Promise<TextResponse>;
  /** The response of `once` without running the work, if the key has one. */
  kept(): Promise<TextResponse | undefined>;
}

/** A response in the OpenAPI document. */
export interface ResponseSpec {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** For a body that is not JSON. */
  readonly contentType?: string;
  /** Other media types that the query can ask for. */
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
  /** The route reads the query's text itself; it is not parsed. */
  readonly readsQuery?: boolean;
  readonly body?: Body;
  /** Larger bodies than elsewhere. */
  readonly maxBodyBytes?: number;
  /** More values of a body than elsewhere. */
  readonly maxBodyValues?: number;
  /** Members of the body whose numbers keep their digits, as `ExactNumber` where a double would change them. */
  readonly exactMembers?: readonly string[];
  /** The media type of a body that the route reads itself. */
  readonly rawBody?: string;
  /** Rules across fields. They see the body before it is parsed by the schema. */
  readonly bodyRules?: (body: Readonly<Record<string, unknown>>) => readonly FieldError[];
  /** Leads to a file. Limited by files at once, and not by requests per minute. */
  readonly isDownload?: boolean;
  /** A POST that creates something, with an Idempotency-Key. */
  readonly creates?: boolean;
  /** Successful responses; problems are the same everywhere. */
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  handle(request: ApiRequest<z.output<Query>, z.output<Body>>): Promise<ApiResponse>;
}

/** A route whose types were checked where it is defined. */
export interface Route extends Omit<RouteSpec<z.ZodObject, z.ZodObject>, 'handle'> {
  handle(request: ApiRequest): Promise<ApiResponse>;
}

type Empty = z.ZodObject<Record<never, never>>;

export function defineRoute<Query extends z.ZodObject = Empty, Body extends z.ZodObject = Empty>(
  spec: RouteSpec<Query, Body>,
): Route {
  // The caller has validated the request by the schemas that give these types.
  return {
    ...spec,
    handle: (request) => spec.handle(request as ApiRequest<z.output<Query>, z.output<Body>>),
  };
}
