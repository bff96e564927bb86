import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { oas31 } from 'zod-openapi';
import { ADMIN_KEY, type ApiReply, type TestApi } from './api-server.ts';

/** An operation of the document, with its references to responses resolved. */
export interface DocumentedOperation {
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters: readonly oas31.ParameterObject[];
  readonly body: { readonly type: string; readonly example: unknown } | undefined;
  readonly responses: Readonly<Record<string, oas31.ResponseObject>>;
}

export interface ApiDocument {
  readonly operations: readonly DocumentedOperation[];
  /** What is wrong with a response, by the document; empty when it is as described. */
  faultsOf(operation: DocumentedOperation, reply: ApiReply): string[];
  /** Names of the webhooks: event types, and `batch`. */
  readonly eventTypes: readonly string[];
  /** What is wrong with the body of a webhook, by the document. */
  eventFaultsOf(body: { readonly type: string }): string[];
}

/** Statuses of responses that say when to come again. */
const COME_AGAIN: ReadonlySet<number> = new Set([202, 429, 503]);

/** The operator's document as the api serves it: every operation. */
export async function readApiDocument(api: TestApi): Promise<ApiDocument> {
  const { json } = await api.call('GET', '/admin/openapi.json', { key: ADMIN_KEY });
  const document = json as oas31.OpenAPIObject;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, 'api');
  const resolve = (response: oas31.ResponseObject | oas31.ReferenceObject): oas31.ResponseObject =>
    '$ref' in response
      ? (document.components?.responses?.[response.$ref.split('/').at(-1) ?? ''] as oas31.ResponseObject)
      : response;

  const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, oas31.OperationObject>).map(([method, operation]) => {
      const { content = {} } = (operation.requestBody ?? {}) as Partial<oas31.RequestBodyObject>;
      const [media] = Object.entries(content);
      return {
        method: method.toUpperCase(),
        path,
        operationId: operation.operationId ?? '',
        security: operation.security ?? [],
        parameters: (operation.parameters ?? []) as oas31.ParameterObject[],
        body: media && { type: media[0], example: media[1].example },
        responses: Object.fromEntries(
          Object.entries(operation.responses as Record<string, oas31.ResponseObject>).map(
            ([status, response]) => [status, resolve(response)],
          ),
        ),
      };
    }),
  );

  return {
    operations,
    eventTypes: Object.keys(document.webhooks ?? {}),
    eventFaultsOf(body) {
      const delivery = document.webhooks?.[body.type]?.post?.requestBody as
        | oas31.RequestBodyObject
        | undefined;
      const schema = delivery?.content['application/json']?.schema;
      if (schema === undefined) return [`${body.type} is not documented`];
      const validate = ajv.compile(inDocument(schema));
      const { type } = body;
      return validate(body) ? [] : [`${type}: ${ajv.errorsText(validate.errors)}`];
    },
    faultsOf({ responses }, { status, headers, text, json: body }) {
      const response = responses[String(status)];
      if (response === undefined) return [`status ${status} is not documented: ${text.slice(0, 300)}`];
      const type = (headers.get('content-type') ?? '').split(';')[0] ?? '';
      const faults: string[] = [];
      if (type !== '' && response.content?.[type] === undefined) faults.push(`${status}: type ${type}`);
      if (type === '' && text !== '') faults.push(`${status}: a body without a type`);
      const schema = response.content?.[type]?.schema;
      if (schema !== undefined && type.endsWith('json')) {
        const validate = ajv.compile(inDocument(schema));
        if (!validate(body)) faults.push(`${status}: ${ajv.errorsText(validate.errors)}`);
      }
      if (COME_AGAIN.has(status)) {
        if (headers.get('retry-after') === null) faults.push(`${status}: no Retry-After`);
        if (response.headers?.['Retry-After'] === undefined)
          faults.push(`${status}: Retry-After not documented`);
      }
      if (headers.get('x-request-id') === null) faults.push(`${status}: no X-Request-Id`);
      return faults;
    },
  };
}

/** The schema with references that lead into the document. */
function inDocument(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"api#/')) as object;
}
