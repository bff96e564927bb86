import pg from 'pg';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { type CollectedSpan, type OtlpCollector, openOtlpCollector } from '../support/otlp-collector.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts';

/** Every service is a process of its own, and a collector gets their spans. */

const LIMIT_MS = 180_000;

const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };

let collector: OtlpCollector;
let receiver: WebhookReceiver;
let world: World;
let customer: Customer;
let source: pg.Client;

beforeAll(async () => {
  collector = await openOtlpCollector();
  receiver = await openWebhookReceiver();
  world = await openTestWorld({
    rows: 4_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 },
    env: {
      EXTRACTOR_CHUNK_BYTES: '1',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '50',
      DELIVERY_TRACEPARENT: 'true',
      RETRY_SCHEDULE_SECONDS: '0.1,0.1,0.1',
    },
  });
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
});

afterAll(async () => {
  await source?.end();
  await world?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

const ofTrace = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);

const named = (spans: readonly CollectedSpan[], name: string) => spans.filter((span) => span.name === name);

/** The first span of the name, which the collector has by now or gets. */
function firstOf(traceId: string, name: string): Promise<CollectedSpan> {
  return waitFor(`a span "${name}"`, () => named(ofTrace(traceId), name)[0], LIMIT_MS);
}

async function takeExport(flags: '00' | '01') {
  const { id } = await customer.client.call<{ id: string }>(
    'POST',
    '/exports',
    { resource: 'invoices' },
    { traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-${flags}` },
  );
  return customer.client.completedExport(id, LIMIT_MS);
}

test('an export is one trace from its caller to its file, unless the caller does not sample', async () => {
  const unsampled = await takeExport('00');
  const sampled = await takeExport('01');
  const { traceId } = CALLER;
  // On a machine that stands still a run or a chunk may be repeated, and then has another span.
  const idsOf = (name: string) => named(ofTrace(traceId), name).map(({ spanId }) => spanId);
  const rowsOfParts = () =>
    new Map(
      named(ofTrace(traceId), 'write part').map(({ attributes }) => [
        attributes['tandem.chunk'],
        Number(attributes['tandem.rows']),
      ]),
    );
  await waitFor(
    'a part of every chunk',
    () => [...rowsOfParts().values()].reduce((sum, rows) => sum + rows, 0) === sampled.rows.written,
    LIMIT_MS,
  );
  const request = await firstOf(traceId, 'POST /exports');
  const command = await firstOf(traceId, 'send commands');
  const assembly = await firstOf(traceId, 'assemble export');
  await waitFor('the parent of each', () => findOrphans(traceId).length === 0, LIMIT_MS);

  expect(rowsOfParts().size).toBeGreaterThan(1);
  expect(request).toMatchObject({ service: 'tandem-api', kind: 2, parentSpanId: CALLER.spanId });
  expect(request.attributes).toMatchObject({ 'http.route': '/exports', 'http.response.status_code': 202 });
  expect(command).toMatchObject({ service: 'tandem-api', kind: 4, parentSpanId: request.spanId });
  for (const run of named(ofTrace(traceId), 'run export')) {
    expect(run).toMatchObject({ service: 'tandem-extractor', parentSpanId: request.spanId });
  }
  for (const read of named(ofTrace(traceId), 'read chunks')) {
    expect(read.service).toBe('tandem-extractor');
    expect(idsOf('run export')).toContain(read.parentSpanId);
  }
  for (const part of named(ofTrace(traceId), 'write part')) {
    expect(part).toMatchObject({ service: 'tandem-writer', kind: 5 });
    expect(idsOf('read chunks')).toContain(part.parentSpanId);
  }
  expect(assembly.service).toBe('tandem-writer');
  expect(idsOf('run export')).toContain(assembly.parentSpanId);
  expect(assembly.attributes['tandem.export_id']).toBe(sampled.id);

  // Each process exports its spans in order, and those of the later export are here.
  const exportIds = new Set(collector.spans.map(({ attributes }) => attributes['tandem.export_id']));
  expect(exportIds).toContain(sampled.id);
  expect(exportIds).not.toContain(unsampled.id);
});

/** Spans whose parent the collector does not have. */
function findOrphans(traceId: string): CollectedSpan[] {
  const ids = new Set([CALLER.spanId, '', ...ofTrace(traceId).map(({ spanId }) => spanId)]);
  return ofTrace(traceId).filter(({ parentSpanId }) => !ids.has(parentSpanId));
}

test('a commit is one trace from capture to the webhook, and the receiver may join it', async () => {
  const { secret } = await customer.client.call<{ secret: string }>('POST', '/webhooks', {
    url: receiver.url,
    events: ['invoice.updated'],
  });
  const { rows } = await source.query<{ id: string }>(
    'select id from documint.invoices where account_id = $1 and deleted_at is null order by id limit 1',
    [customer.sourceId],
  );
  let isFirst = true;
  receiver.answer = ({ body }) => {
    if (!isFirst || !body.includes('"memo":"short"')) return 200;
    isFirst = false;
    return 503;
  };
  // Too long to be handed on with its event, so its text is read from the log.
  for (const memo of ['short', 'long'.repeat(6_000)]) {
    const before = receiver.received.length;
    await source.query('update documint.invoices set memo = $2 where id = $1', [rows[0]?.id, memo]);
    const request = await waitFor(
      'the delivery',
      () => receiver.received.slice(before).find(({ body }) => body.includes(`"memo":"${memo}"`)),
      LIMIT_MS,
    );
    await expectTrace(request, secret);
  }
  // The first attempt failed, and its repetition is beside it.
  const failed = await waitFor(
    'the failed attempt',
    () => named(collector.spans, 'deliver webhook').find(({ isFailed }) => isFailed),
    LIMIT_MS,
  );
  expect(failed.attributes).toMatchObject({ 'http.response.status_code': 503, 'tandem.attempt': 1 });
  const repeated = await waitFor(
    'its repetition',
    () => named(ofTrace(failed.traceId), 'deliver webhook').find(({ isFailed }) => !isFailed),
    LIMIT_MS,
  );
  expect(repeated.parentSpanId).toBe(failed.parentSpanId);
  expect(repeated.attributes).toMatchObject({
    'http.response.status_code': 200,
    'tandem.message_id': failed.attributes['tandem.message_id'],
  });
});

async function expectTrace(request: WebhookReceiver['received'][number], secret: string): Promise<void> {
  const [, traceId = '', spanId, flags] = String(request.headers.traceparent).split('-');
  expect(flags).toBe('01');
  // What is signed is what it was.
  expect(() =>
    new Webhook(secret).verify(request.body, request.headers as Record<string, string>),
  ).not.toThrow();
  expect(request.body).not.toContain(traceId);
  const delivery = await waitFor(
    'the attempt',
    () => ofTrace(traceId).find((span) => span.spanId === spanId),
    LIMIT_MS,
  );
  const recording = await waitFor(
    'the recording',
    () => ofTrace(traceId).find((span) => span.spanId === delivery.parentSpanId),
    LIMIT_MS,
  );
  const commit = await firstOf(traceId, 'publish transaction');
  expect(delivery).toMatchObject({
    service: 'tandem-dispatcher',
    name: 'deliver webhook',
    kind: 3,
  });
  expect(recording).toMatchObject({
    name: 'record events',
    service: 'tandem-dispatcher',
    kind: 5,
    parentSpanId: commit.spanId,
    links: [{ traceId, spanId: commit.spanId }],
  });
  expect(commit).toMatchObject({ service: 'tandem-capture', kind: 4, parentSpanId: '' });
  expect(commit.attributes).toMatchObject({ 'tandem.changes': 1 });
}

// Last, because its many commits reach the limit of traces a second.
test('a bulk job is in the trace of its request', async () => {
  const { job_id: id } = await customer.client.call<{ job_id: string }>('POST', '/bulk/operations', {
    resource: 'invoices',
    operation: 'update',
    async: true,
    filter: { status: { in: ['open', 'paid', 'draft'] } },
    params: { memo: 'changed in bulk' },
  });
  const work = await waitFor(
    'the work',
    () => named(collector.spans, 'work chunk').find(({ attributes }) => attributes['tandem.job_id'] === id),
    LIMIT_MS,
  );
  const listing = await firstOf(work.traceId, 'list items');
  const request = await firstOf(work.traceId, 'POST /bulk/operations');
  expect(request).toMatchObject({ service: 'tandem-api', parentSpanId: '' });
  expect(listing).toMatchObject({ service: 'tandem-bulk', parentSpanId: request.spanId });
  expect(work).toMatchObject({ service: 'tandem-bulk', parentSpanId: request.spanId });
});
