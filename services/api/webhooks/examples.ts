import type { z } from 'zod';
import { EXAMPLE } from '../http/example-values.ts';
import type { attemptDetailsSchema, attemptSchema } from './attempt-response.ts';
import type { eventDeliverySchema } from './event-delivery-response.ts';
import type { deadLetterSchema, failedReplaySchema, webhookSchema, webhookTestSchema } from './response.ts';
import type { statsSchema } from './stats-response.ts';

export const EXAMPLE_WEBHOOK: z.input<typeof webhookSchema> = {
  id: EXAMPLE.webhook,
  account_id: EXAMPLE.account,
  url: 'https://example.com/hooks/tandem',
  events: ['*'],
  description: null,
  headers: {},
  max_in_flight: 50,
  rate_limit: null,
  batch: null,
  order: 'record',
  held_by: null,
  status: 'active',
  status_reason: null,
  start: 'now',
  position: EXAMPLE.position,
  failures_in_row: 0,
  failing_since: null,
  resting_until: null,
  secret_count: 1,
  old_secret_valid_until: null,
  created_at: EXAMPLE.at,
  updated_at: EXAMPLE.at,
};

export const EXAMPLE_SECRET = 'whsec_RXhhbXBsZUV4YW1wbGVFeGFtcGxlRXhhbXBsZTAxMjM=';

export const EXAMPLE_ATTEMPT: z.input<typeof attemptSchema> = {
  id: EXAMPLE.attempt,
  event_id: EXAMPLE.event,
  batch: null,
  attempt: 1,
  started_at: EXAMPLE.at,
  duration_ms: 38,
  status: 200,
  outcome: 'delivered',
  excerpt: 'ok',
};

export const EXAMPLE_ATTEMPT_DETAILS: z.input<typeof attemptDetailsSchema> = {
  ...EXAMPLE_ATTEMPT,
  event_ids: [EXAMPLE.event],
  request: {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': EXAMPLE.event,
      'webhook-timestamp': '1772357400',
      'webhook-signature': 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
    },
    body: null,
    body_bytes: null,
    is_body_cut: false,
  },
  response: {
    status: 200,
    headers: { 'content-type': 'text/plain' },
    headers_omitted: 0,
    body: 'ok',
    is_body_cut: false,
  },
};

export const EXAMPLE_TEST: z.input<typeof webhookTestSchema> = {
  event_id: 'test_01JZ8QA0F7H9K1N3Q5S7V9X1Z3',
  webhook_id: EXAMPLE.webhook,
  started_at: EXAMPLE.at,
  duration_ms: 38,
  status: 200,
  outcome: 'delivered',
  excerpt: 'ok',
};

export const EXAMPLE_DEAD_LETTER: z.input<typeof deadLetterSchema> = {
  event_id: EXAMPLE.event,
  type: null,
  position: EXAMPLE.position,
  record: 'invoices/[1001]',
  attempts: 10,
  last_attempt_at: EXAMPLE.at,
  status: 500,
  outcome: 'failed',
  excerpt: 'Internal Server Error',
};

const EXAMPLE_FIGURES = {
  attempts: { delivered: 118, failed: 2 },
  events: { delivered: 118, failed: 2 },
  duration_ms: { p50: 38, p95: 121 },
};

export const EXAMPLE_STATS: z.input<typeof statsSchema> = {
  webhook_id: EXAMPLE.webhook,
  from: '2026-02-28T09:30:00.000Z',
  to: '2026-03-01T09:35:00.000Z',
  ...EXAMPLE_FIGURES,
  behind_by: { events: 3, is_exact: true, seconds: 2 },
  retrying: 1,
  dead_letters: 0,
  failed_replay: null,
  bucket_seconds: 300,
  buckets: [{ at: EXAMPLE.at, ...EXAMPLE_FIGURES }],
};

export const EXAMPLE_FAILED_REPLAY: z.input<typeof failedReplaySchema> = {
  from: EXAMPLE.at,
  to: EXAMPLE.later,
  requested_at: EXAMPLE.later,
};

export const EXAMPLE_EVENT_DELIVERY: z.input<typeof eventDeliverySchema> = {
  webhook_id: EXAMPLE.webhook,
  url: EXAMPLE_WEBHOOK.url,
  state: 'delivered',
  failed_attempts: 0,
  next_attempt_at: null,
  last_attempt: EXAMPLE_ATTEMPT,
};
