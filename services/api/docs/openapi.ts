import { z } from 'zod';
import {
  createDocument,
  type oas31,
  type ZodOpenApiObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiOverride,
  type ZodOpenApiResponseObject,
} from 'zod-openapi';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { scopesOf } from '../http/caller.ts';
import { schemasOf } from '../http/mount-routes.ts';
import { RESPONSE_HEADERS } from '../http/response-headers.ts';
import type { RequestExample, ResponseSpec, Route } from '../http/route.ts';
import { problemSchema } from '../http/schema.ts';
import { describeApi, SECURITY_SCHEMES } from './api-description.ts';
import { createProblemResponses, headersOf, pascalOf, RATE_HEADERS } from './problem-responses.ts';
import { DELIVERY_RESPONSES, SIGNATURE_HEADERS, webhooksOf } from './webhook-section.ts';

type OperationObject = oas31.OperationObject;
type ParameterObject = oas31.ParameterObject;
type ReferenceObject = oas31.ReferenceObject;

/** The readers of a document. */
export type Reader = 'customer' | 'operator';

/** An OpenAPI document as it is sent. */
export type OpenApiDocument = ReturnType<typeof createDocument>;

/**
 * The OpenAPI 3.1 document, from the schemas that validate requests and type responses. For those who build on
 * it:
 *
 * - `paths[path][method]` has `operationId` (camelCase, a verb first; clients name their methods by it), one tag
 *   (`exports`, `feed`, `webhooks`, `bulk`, `account`, `operator`), `summary` (a line) and `description`
 *   (Markdown). `security` is `[]` where no key is needed, else `[{key: scopes}]` (all of them) or `[{operatorKey: []}]`.
 * - The example request is in `requestBody.content[type].example` and in each parameter's `example`; what it gets
 *   in `responses[status].content['application/json'].example`. A test sends the one and gets the other.
 * - Problems are listed by status, as `application/problem+json`, and `examples` has one for each code: its keys
 *   are the codes. Responses that many operations share are references to `components.responses`; headers are
 *   always references to `components.headers`.
 * - `components.schemas` has request bodies as `<OperationId>Request`, what is answered under its own name, and
 *   pages of it as `<Name>List`. Requests are strict (`additionalProperties: false`), and responses are open: a
 *   later version may add fields.
 * - `webhooks` is by event type, with the body of each, and `batch`.
 */
export function openApiOf(
  routes: readonly Route[],
  { version, server, reader, catalog }: { version: string; server: string; reader: Reader; catalog: Catalog },
): OpenApiDocument {
  const problemsOf = createProblemResponses();
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  const requests: Record<string, z.ZodType> = {};
  for (const route of routes) {
    const schemas = schemasOf(route, reader);
    if (schemas.body !== undefined) requests[`${pascalOf(route.operationId)}Request`] = schemas.body;
    paths[route.path] = {
      ...paths[route.path],
      [route.method.toLowerCase()]: operationOf(route, schemas, problemsOf(route)),
    };
  }
  const document: ZodOpenApiObject = {
    ...describeApi({ version, server }),
    paths,
    webhooks: webhooksOf(catalog),
    components: {
      securitySchemes: SECURITY_SCHEMES,
      schemas: { ...requests, [String(problemSchema.meta()?.id)]: problemSchema },
      parameters: SIGNATURE_HEADERS,
      responses: DELIVERY_RESPONSES,
      headers: Object.fromEntries(
        Object.entries(RESPONSE_HEADERS).map(([name, { description, type, example }]) => [
          name,
          { description, schema: { type }, example, ...(name === 'X-Request-Id' ? { required: true } : {}) },
        ]),
      ),
    },
  };
  const written = createDocument(document, { override: plainSchemas, allowEmptySchema: WITH_OWN_SCHEMA });
  for (const path of Object.values(written.paths ?? {})) {
    for (const { parameters = [] } of Object.values(path) as OperationObject[])
      parameters.forEach(describeOnce);
  }
  return written;
}

/** Leaves out schema members without information. In responses, also leaves out what forbids new fields. */
const plainSchemas: ZodOpenApiOverride = ({ jsonSchema, io }) => {
  const { additionalProperties: rest, maximum } = jsonSchema;
  if (typeof rest === 'object' && Object.keys(rest).length === 0) delete jsonSchema.additionalProperties;
  delete jsonSchema.propertyNames;
  if (io === 'input') return;
  if (rest === false) delete jsonSchema.additionalProperties;
  if (maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
};

/** A value that code checks instead of a schema has its schema in its metadata. */
const WITH_OWN_SCHEMA = { custom: true, transform: true, pipe: true } as const;

/** A description is the parameter's. The library leaves it with the schema, or gives it to both. */
function describeOnce(parameter: ParameterObject | ReferenceObject): void {
  if (!('schema' in parameter) || parameter.schema === undefined || '$ref' in parameter.schema) return;
  const { description } = parameter.schema;
  if (description === undefined) return;
  parameter.description ??= description;
  delete parameter.schema.description;
}

function operationOf(
  route: Route,
  { query, body }: { query: z.ZodObject; body: z.ZodObject | undefined },
  problems: Readonly<Record<string, ZodOpenApiResponseObject>>,
): ZodOpenApiOperationObject {
  const { example = {} } = route;
  const successes = Object.entries(route.responses).map(([status, response]) => [
    status,
    responseOf(route, response),
  ]);
  return {
    operationId: route.operationId,
    tags: [route.tag],
    summary: route.summary,
    description: route.description,
    security: securityOf(route),
    parameters: [
      ...pathParameters(route, example),
      ...queryParameters(query, example),
      ...(route.creates === true ? [IDEMPOTENCY_KEY] : []),
    ],
    ...requestBodyOf(route, body, example),
    responses: { ...Object.fromEntries(successes), ...withoutStatuses(problems, route.responses) },
  };
}

function securityOf({ access }: Route): Record<string, string[]>[] {
  if (access === 'public') return [];
  return access === 'operator' ? [{ operatorKey: [] }] : [{ key: [...scopesOf(access)] }];
}

/** A route may describe the response of a status itself, as a failed probe. */
function withoutStatuses<Response>(
  problems: Readonly<Record<string, Response>>,
  own: Route['responses'],
): Record<string, Response> {
  return Object.fromEntries(Object.entries(problems).filter(([status]) => !(status in own)));
}

function pathParameters({ path, params = {} }: Route, example: RequestExample) {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) =>
    z.string().meta({
      description: params[name],
      param: {
        name,
        in: 'path' as const,
        ...(example.params?.[name] === undefined ? {} : { example: example.params[name] }),
      },
    }),
  );
}

function queryParameters(query: z.ZodObject, example: RequestExample) {
  return Object.entries(query.shape as Record<string, z.ZodType>).map(([name, schema]) => {
    const value = example.query?.[name];
    return schema.meta({
      param: { name, in: 'query' as const, ...(value === undefined ? {} : { example: value }) },
    });
  });
}

const IDEMPOTENCY_KEY = z
  .string()
  .min(1)
  .max(255)
  .optional()
  .meta({
    param: {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'The same key with the same body gets the first response again, for a week. If a job was created, until a week after its end.',
    },
  });

function requestBodyOf(route: Route, body: z.ZodObject | undefined, example: RequestExample) {
  const shown = example.body === undefined ? {} : { example: example.body };
  if (route.rawBody !== undefined) {
    const schema = { type: 'string' as const, description: 'UTF-8 text.' };
    return { requestBody: { required: true, content: { [route.rawBody]: { schema, ...shown } } } };
  }
  if (body === undefined) return {};
  return { requestBody: { required: true, content: { 'application/json': { schema: body, ...shown } } } };
}

function responseOf(route: Route, response: ResponseSpec): ZodOpenApiResponseObject {
  const { description, schema, example, types = [], headers = [] } = response;
  const content = {
    ...(schema === undefined
      ? {}
      : { 'application/json': { schema, ...(example === undefined ? {} : { example }) } }),
    ...Object.fromEntries(types.map((type) => [type, { schema: bytesOf(type) }])),
  };
  const replayed = route.creates === true ? (['Idempotency-Replayed'] as const) : [];
  const rates = route.access === 'public' ? [] : RATE_HEADERS;
  return {
    description,
    headers: headersOf([...headers, ...replayed, ...rates]),
    ...(Object.keys(content).length === 0 ? {} : { content }),
  };
}

function bytesOf(type: string): { type: 'string' | 'object'; format?: string } {
  if (type === 'application/json') return { type: 'object' };
  return type.startsWith('text/') ? { type: 'string' } : { type: 'string', format: 'binary' };
}
