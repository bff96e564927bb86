import type { ZodOpenApiResponseObject } from 'zod-openapi';
import { describe, PROBLEMS, type ProblemCode, titleOf } from '../http/problem.ts';
import { RESPONSE_HEADERS, type ResponseHeader } from '../http/response-headers.ts';
import type { Route } from '../http/route.ts';
import { problemSchema } from '../http/schema.ts';

/** The codes that a route can answer with: those that follow from what it is, and its own. */
export function codesOf(route: Route): ProblemCode[] {
  const readsBody = route.body !== undefined || route.rawBody !== undefined;
  const codes: ProblemCode[] = [
    'malformed',
    'timed_out',
    'headers_too_large',
    'internal',
    ...(route.readsQuery === true ? [] : (['invalid'] as const)),
    ...(route.access === 'public' ? [] : (['unauthorized', 'forbidden', 'too_many', 'unavailable'] as const)),
    ...(route.path.includes('{') ? (['not_found'] as const) : []),
    ...(readsBody ? (['too_large', 'unsupported_media_type'] as const) : []),
    ...(route.creates === true ? (['conflict'] as const) : []),
    ...(Object.keys(route.problems ?? {}) as ProblemCode[]),
  ];
  return [...new Set(codes)].sort();
}

/** Headers that say what a key may still send. The operator's key has no such limits. */
export const RATE_HEADERS = ['RateLimit-Policy', 'RateLimit'] as const;

/** Headers of responses with such a code. The rates are in those to a request that was let in, or is over a rate. */
const HEADERS: Readonly<Partial<Record<ProblemCode, readonly ResponseHeader[]>>> = {
  unauthorized: ['WWW-Authenticate'],
  too_many: ['Retry-After', ...RATE_HEADERS],
  unavailable: ['Retry-After'],
  feed_behind: ['Retry-After'],
  range_not_satisfiable: ['Content-Range'],
};

/** The reason of a code that every request with an idempotency key can get. */
const IN_FLIGHT = 'The first request with this Idempotency-Key is still in progress.';

/**
 * The problem responses of a route, by status. Those without a reason of the route's own are components that
 * routes share, named after their codes.
 */
export function createProblemResponses(): (
  route: Route,
) => Readonly<Record<string, ZodOpenApiResponseObject>> {
  const shared = new Map<string, ZodOpenApiResponseObject>();
  return (route) => {
    const byStatus = Map.groupBy(codesOf(route), (code) => PROBLEMS[code].status);
    return Object.fromEntries(
      [...byStatus].map(([status, codes]) => {
        if (codes.some((code) => route.problems?.[code] !== undefined)) {
          return [status, problemResponse(codes, (code) => reasonOf(route, code))];
        }
        const id = codes.map(pascalOf).join('Or');
        const known = shared.get(id) ?? {
          id,
          ...problemResponse(codes, (code) => (code === 'conflict' ? IN_FLIGHT : PROBLEMS[code].meaning)),
        };
        shared.set(id, known);
        return [status, known];
      }),
    );
  };
}

function reasonOf(route: Route, code: ProblemCode): string {
  const own = route.problems?.[code];
  if (own === undefined) return PROBLEMS[code].meaning;
  return code === 'conflict' && route.creates === true ? `${own} ${IN_FLIGHT}` : own;
}

function problemResponse(
  codes: readonly ProblemCode[],
  reason: (code: ProblemCode) => string,
): ZodOpenApiResponseObject {
  return {
    description: codes.map((code) => `\`${code}\`: ${reason(code)}`).join('\n\n'),
    headers: headersOf(codes.flatMap((code) => HEADERS[code] ?? [])),
    content: {
      'application/problem+json': {
        schema: problemSchemaOf(codes),
        examples: Object.fromEntries(
          codes.map((code) => [
            code,
            {
              summary: titleOf(code),
              value: describe(code, reason(code), RESPONSE_HEADERS['X-Request-Id'].example),
            },
          ]),
        ),
      },
    },
  };
}

/** References to the headers, after the one that every response has. */
export function headersOf(names: readonly ResponseHeader[]): Record<string, { $ref: string }> {
  const all = new Set<ResponseHeader>(['X-Request-Id', ...names]);
  return Object.fromEntries([...all].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

function problemSchemaOf(codes: readonly ProblemCode[]) {
  return {
    allOf: [
      { $ref: `#/components/schemas/${problemSchema.meta()?.id}` },
      { type: 'object' as const, properties: { code: { type: 'string' as const, enum: [...codes] } } },
    ],
  };
}

/** `too_many` → `TooMany`. */
export function pascalOf(text: string): string {
  return text.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
}
