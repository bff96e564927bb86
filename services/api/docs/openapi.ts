import { z } from 'zod';
import { scopesOf } from '../http/caller.ts';
import { schemasOf } from '../http/mount-routes.ts';
import type { ResponseSpec, Route } from '../http/route.ts';
import { problemSchema } from '../http/schema.ts';

type Json = Record<string, unknown>;

/** The readers of a document. */
export type Reader = 'customer' | 'operator';

/** The OpenAPI 3.1 document, from the API schemas that validate requests and type responses. */
export function openApiOf(
  routes: readonly Route[],
  { version, server, reader }: { version: string; server: string; reader: Reader },
): Json {
  const components: Json = {};
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    paths[route.path] = {
      ...paths[route.path],
      [route.method.toLowerCase()]: operationOf(route, reader, components),
    };
  }
  addComponent(problemSchema, components);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tandem',
      version,
      description: 'Bulk export and change feed, in tandem: the feed starts exactly where the export ends.',
    },
    servers: [{ url: server }],
    paths,
    components: {
      schemas: components,
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'The key of an account or of the operator.' },
      },
    },
  };
}

function operationOf(route: Route, reader: Reader, components: Json): Json {
  const { query, body } = schemasOf(route, reader);
  const problem = {
    description: 'The problem.',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  return {
    summary: route.summary,
    tags: [route.path.split('/')[1]],
    ...(route.access === 'public' ? {} : { security: [{ key: [...scopesOf(route.access)] }] }),
    parameters: [...pathParameters(route.path), ...queryParameters(query), ...headerParameters(route)],
    ...(route.rawBody === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { [route.rawBody]: { schema: { type: 'string', format: 'binary' } } },
          },
        }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(body, 'input', components) } },
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.responses).map(([status, response]) => [
          status,
          responseOf(response, components),
        ]),
      ),
      default: problem,
    },
  };
}

function responseOf(response: ResponseSpec, components: Json): Json {
  const { description, schema, contentType, otherTypes = [], headers } = response;
  const content =
    schema === undefined
      ? contentType && { [contentType]: {} }
      : {
          'application/json': { schema: schemaOf(schema, 'output', components) },
          ...Object.fromEntries(otherTypes.map((type) => [type, {}])),
        };
  return {
    description,
    ...(headers === undefined
      ? {}
      : {
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, text]) => [
              name,
              { description: text, schema: { type: 'string' } },
            ]),
          ),
        }),
    ...(content === undefined ? {} : { content }),
  };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodObject): Json[] {
  const { properties = {}, required = [] } = schemaOf(query, 'input', {}) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }));
}

function headerParameters({ creates }: Route): Json[] {
  if (creates !== true) return [];
  const description =
    'The same key and body return the first response again, for a week. If a job was created, until a week after its end.';
  return [{ name: 'Idempotency-Key', in: 'header', description, schema: { type: 'string', maxLength: 255 } }];
}

/** A schema with an ID becomes a component, and a reference to it. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', components: Json): Json {
  const named = addComponent(schema, components);
  return named ?? toJsonSchema(schema, io, components);
}

function addComponent(schema: z.ZodType, components: Json): Json | undefined {
  const id = schema.meta()?.id;
  if (id === undefined) return undefined;
  if (components[id] === undefined) {
    components[id] = {};
    components[id] = toJsonSchema(schema, 'output', components);
  }
  return { $ref: `#/components/schemas/${id}` };
}

function toJsonSchema(schema: z.ZodType, io: 'input' | 'output', components: Json): Json {
  const {
    $schema: _dialect,
    id: _id,
    $defs = {},
    ...rest
  } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  for (const [name, definition] of Object.entries($defs)) {
    const { id: _definitionId, ...plain } = definition;
    components[name] ??= withComponentRefs(plain);
  }
  return withComponentRefs(rest) as Json;
}

function withComponentRefs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withComponentRefs);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      key === '$ref'
        ? String(member).replace('#/$defs/', '#/components/schemas/')
        : withComponentRefs(member),
    ]),
  );
}
