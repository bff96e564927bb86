import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { type DeliveryRules, findUrlProblem } from '../../../shared/domain/delivery-url.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';

/** Events besides those of resources: of the feed, and of the account's own objects. */
const OTHER_EVENTS = [
  'feed.reset',
  'feed.stalled',
  'feed.resumed',
  'export.completed',
  'export.failed',
  'export.expiring',
  'bulk.completed',
  'bulk.failed',
  'webhook.disabled',
];

/**
 * Requests in flight. The rate of an endpoint is at most this number divided by the time of a request and of
 * saving its result: some thousand per second even when both are slow. After a crash at most this many
 * deliveries are repeated.
 */
const DEFAULT_MAX_IN_FLIGHT = 50;

const MAX_FILTERS = 100;
const MAX_HEADERS = 20;
const MAX_HEADER_CHARACTERS = 1_024;

/** Headers that Tandem sets, or that would change framing or routing of the request. */
const FIXED_HEADER =
  /^(webhook-.*|content-.*|proxy-.*|host|connection|keep-alive|transfer-encoding|upgrade|te|trailer|expect|user-agent)$/i;

/** All event types. */
export function eventTypes(catalog: Catalog): string[] {
  const verbs = ['created', 'updated', 'deleted'];
  const ofResources = catalog.resources.flatMap(({ event }) => verbs.map((verb) => `${event}.${verb}`));
  return [...ofResources, ...OTHER_EVENTS];
}

/** `*`, `invoice.*` or one event type. */
function filterSchema(catalog: Catalog) {
  const types = eventTypes(catalog);
  const known = new Set(['*', ...types, ...types.map((type) => `${type.split('.')[0]}.*`)]);
  return z.string().refine((filter) => known.has(filter), {
    error: `is not an event type; use ${types.join(', ')}, "<name>.*" or "*"`,
  });
}

/** Shown in place of a header's value. */
export const HIDDEN = '[hidden]';

const headersSchema = z.record(z.string(), z.string()).superRefine((headers, context) => {
  const refuse = (name: string, message: string) =>
    context.addIssue({ code: 'custom', path: [name], message });
  const entries = Object.entries(headers);
  const names = new Set<string>();
  if (entries.length > MAX_HEADERS) {
    context.addIssue({ code: 'custom', message: `may have at most ${MAX_HEADERS} headers` });
  }
  for (const [name, value] of entries) {
    if (!/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) refuse(name, 'is not a header name');
    else if (FIXED_HEADER.test(name)) refuse(name, 'is set by Tandem');
    // Names are the same in any case, and only one value would be meant.
    if (names.has(name.toLowerCase())) refuse(name, 'is given more than once');
    names.add(name.toLowerCase());
    if (!/^[\t\x20-\x7e]*$/.test(value)) refuse(name, 'must be printable ASCII, without line breaks');
    if (value === HIDDEN) refuse(name, 'is hidden from this key; give the value itself');
    if (value.length > MAX_HEADER_CHARACTERS)
      refuse(name, `may have at most ${MAX_HEADER_CHARACTERS} characters`);
  }
});

/** For bodies as they came: the schema of a record loses the name `__proto__` without a word. */
export function webhookBodyRules({ headers }: Readonly<Record<string, unknown>>): FieldError[] {
  const isLost = typeof headers === 'object' && headers !== null && Object.hasOwn(headers, '__proto__');
  return isLost ? [{ pointer: '/headers/__proto__', detail: 'is not a header name' }] : [];
}

const startSchema = z.union(
  [
    z.literal('now'),
    z.strictObject({ after_export: z.string().min(1).max(100) }),
    z.strictObject({ since: z.string().min(1).max(100) }),
  ],
  { error: 'must be "now", {"after_export": <export ID>} or {"since": <timestamp or position>}' },
);

/** A receiver must process a batch within the deadline of one request. */
const MAX_BATCH_EVENTS = 1_000;
const MAX_BATCH_WAIT_MS = 60_000;

export const batchSchema = z
  .strictObject({
    max_events: z.int().min(1).max(MAX_BATCH_EVENTS),
    max_wait_ms: z
      .int()
      .min(0)
      .max(MAX_BATCH_WAIT_MS)
      .meta({ description: 'Maximum time that an event waits for further events of its batch.' }),
  })
  .nullable()
  .meta({ description: 'Limits of a batch request. Null: one event per request.' });

export const orderSchema = z.enum(['record', 'strict']).meta({
  description:
    'record: events of one record are delivered in order, and a failing event delays only its own record. ' +
    'strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.',
});

function fieldsOf(catalog: Catalog, rules: DeliveryRules) {
  return {
    url: z.string().superRefine((url, context) => {
      const problem = findUrlProblem(url, rules);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    }),
    events: z.array(filterSchema(catalog)).min(1).max(MAX_FILTERS),
    description: z.string().max(500).nullable(),
    headers: headersSchema,
    max_in_flight: z.int().min(1).max(100),
    rate_limit: z
      .int()
      .min(1)
      .max(10_000)
      .nullable()
      .meta({ description: 'Requests per second. Null: unlimited.' }),
    batch: batchSchema,
    order: orderSchema,
  };
}

/** The body of `POST /webhooks`. */
export function webhookBodySchema(catalog: Catalog, rules: DeliveryRules) {
  const { url, events, description, headers, max_in_flight, rate_limit, batch, order } = fieldsOf(
    catalog,
    rules,
  );
  return z.strictObject({
    url,
    events: events.default(['*']),
    start: startSchema.default('now'),
    description: description.default(null),
    headers: headers.default({}),
    max_in_flight: max_in_flight.default(DEFAULT_MAX_IN_FLIGHT),
    rate_limit: rate_limit.default(null),
    batch: batch.default(null),
    order: order.default('record'),
  });
}

/** The body of `PATCH /webhooks/{id}`. */
export function webhookPatchSchema(catalog: Catalog, rules: DeliveryRules) {
  return z.strictObject(fieldsOf(catalog, rules)).partial();
}
