import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import type { Access, AccountRule, Caller } from './caller.ts';
import type { FirstResponse } from './idempotency.ts';
import type { ProblemCode } from './problem.ts';
import type { ApiResponse, TextResponse } from './response.ts';
import type { ResponseHeader } from './response-headers.ts';

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** A body as it arrives, with the headers that describe it. `complete`: it did not end early. */
export type RawBody = Readable & Pick<IncomingMessage, 'headers' | 'complete'>;

/** A request that was authenticated, authorized and validated. */
export interface ApiRequest<Query = unknown, Body = unknown> {
  readonly method: string;
  /** Still percent-encoded. */
  readonly path: string;
  readonly querystring: string;
  /** As in the log and in `X-Request-Id`. */
  readonly requestId: string;
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
  readonly incoming: RawBody;
  /** Runs creating work in one transaction, once per Idempotency-Key. `identity` replaces a body that is not JSON. */
  once(work: (db: Queryable) => Promise<FirstResponse>, identity?: unknown): Promise<TextResponse>;
  /** The response of `once` without running the work, if the key has one. */
  kept(): Promise<TextResponse | undefined>;
}

/** A successful response in the OpenAPI document. */
export interface ResponseSpec {
  readonly description: string;
  /** The JSON body. */
  readonly schema?: z.ZodType;
  /** What the request of the route's example really gets: a test sends it. For a JSON body. */
  readonly example?: unknown;
  /** Media types of a body that is not JSON. */
  readonly types?: readonly string[];
  readonly headers?: readonly ResponseHeader[];
}

/** Section of the documents: what a caller is about to do. */
export type Tag = 'exports' | 'feed' | 'webhooks' | 'bulk' | 'account' | 'operator';

/**
 * The request of an operation's example, which a test sends as it is except for IDs: those of the example stand
 * for the ID of an object that the test makes.
 */
export interface RequestExample {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  /** JSON, or the text of a body that is not JSON. */
  readonly body?: unknown;
}

export interface RouteSpec<Query extends z.ZodObject, Body extends z.ZodObject> {
  readonly method: Method;
  /** With parameters in braces, as in OpenAPI: `/exports/{id}`. */
  readonly path: string;
  /** The name of the operation in clients, a verb first: `createExport`. It never changes. */
  readonly operationId: string;
  readonly tag: Tag;
  /** One line: what the operation does. */
  readonly summary: string;
  /** What a caller must know besides: when to use it, what happens then, limits. Markdown. */
  readonly description: string;
  /** What each parameter of the path is. */
  readonly params?: Readonly<Record<string, string>>;
  readonly example?: RequestExample;
  /**
   * Codes of problems beyond those that follow from what the route is (`codesOf`), each with its reason. It may
   * give a code of those its own reason.
   */
  readonly problems?: Readonly<Partial<Record<ProblemCode, string>>>;
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
  /** The media type of a body that the route reads itself, and what it is. */
  readonly rawBody?: string;
  /** Rules across fields. They see the body before it is parsed by the schema. */
  readonly bodyRules?: (body: Readonly<Record<string, unknown>>) => readonly FieldError[];
  /** Leads to a file. Limited by files at once, and not by requests per minute. */
  readonly isDownload?: boolean;
  /** A POST that creates something, with an Idempotency-Key. */
  readonly creates?: boolean;
  /** Successful responses, by status. */
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
