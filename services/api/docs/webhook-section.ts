import type { z } from 'zod';
import type { oas31, ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { eventExamples } from '../events/event-examples.ts';
import { meaningOf } from '../events/event-meanings.ts';
import { batchSchema, eventSchemas } from '../events/event-schemas.ts';

const DELIVERY = `Delivered at least once, with the same \`webhook-id\` each time. Respond with 2xx within 15 seconds, and do
the work later. Any other status is a failure, also a redirect, and the event is sent again.`;

/** The requests that Tandem sends to webhook endpoints, by event type, and `batch`. */
export function webhooksOf(catalog: Catalog): ZodOpenApiPathsObject {
  const examples = eventExamples(catalog);
  const operation = (type: string, meaning: string, schema: z.ZodType) => ({
    post: deliveryOf(type, meaning, { schema, example: examples.get(type) }),
  });
  const single = [...eventSchemas(catalog)].map(([type, schema]) => [
    type,
    operation(type, meaningOf(type), schema),
  ]);
  const batch = 'Events of an endpoint with `batch`. `webhook-id` is the ID of the batch.';
  return { ...Object.fromEntries(single), batch: operation('batch', batch, batchSchema) };
}

function deliveryOf(
  type: string,
  meaning: string,
  body: { readonly schema: z.ZodType; readonly example: unknown },
): ZodOpenApiOperationObject {
  return {
    operationId: `on${type.replace(/(?:^|[._])(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    tags: ['webhooks'],
    summary: type,
    description: `${meaning}\n\n${DELIVERY}`,
    security: [],
    parameters: Object.keys(SIGNATURE_HEADERS).map((name) => ({ $ref: `#/components/parameters/${name}` })),
    requestBody: { required: true, content: { 'application/json': body } },
    responses: Object.fromEntries(
      Object.entries(STATUSES).map(([status, name]) => [status, { $ref: `#/components/responses/${name}` }]),
    ),
  };
}

/** Components: headers of each request. */
export const SIGNATURE_HEADERS: Readonly<Record<string, oas31.ParameterObject>> = {
  'webhook-id': {
    name: 'webhook-id',
    in: 'header',
    required: true,
    description: 'ID of the event or of the batch. Pass over an ID that you know.',
    schema: { type: 'string' },
  },
  'webhook-timestamp': {
    name: 'webhook-timestamp',
    in: 'header',
    required: true,
    description:
      'Time of this request, in seconds since 1970. Refuse one that is minutes away from your clock.',
    schema: { type: 'string', pattern: '^[0-9]+$' },
  },
  'webhook-signature': {
    name: 'webhook-signature',
    in: 'header',
    required: true,
    description:
      'Standard Webhooks: one or more of `v1,<base64>`, separated by spaces. Each is the HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>` with a secret of the endpoint. One that matches is enough.',
    schema: { type: 'string' },
  },
};

const STATUSES = { '2XX': 'Delivered', '410': 'Disabled', '429': 'SlowedDown', default: 'Failed' } as const;

/** Components: what an answer of the receiver means. */
export const DELIVERY_RESPONSES: Readonly<
  Record<(typeof STATUSES)[keyof typeof STATUSES], { description: string }>
> = {
  Delivered: { description: 'Delivered.' },
  Disabled: { description: 'The webhook endpoint is disabled.' },
  SlowedDown: {
    description: 'Slows the webhook endpoint down. `Retry-After` is honoured, as with 502, 503 and 504.',
  },
  Failed: {
    description: 'Failed. The event is sent again later, and after the last attempt is a dead letter.',
  },
};
