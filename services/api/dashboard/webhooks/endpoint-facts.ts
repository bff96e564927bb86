import type { z } from 'zod';
import type { exportSchema } from '../../exports/response.ts';
import type { attemptSchema } from '../../webhooks/attempt-response.ts';
import type { webhookSchema } from '../../webhooks/response.ts';
import type { statsSchema } from '../../webhooks/stats-response.ts';
import type { Visit } from '../frame/visit.ts';
import { RANGES, type Range, spanOf } from './traffic.ts';

export type Webhook = z.output<typeof webhookSchema>;
export type Attempt = z.output<typeof attemptSchema>;
export type Stats = z.output<typeof statsSchema>;
export type Export = z.output<typeof exportSchema>;

/** A page of a list, as the API returns it. */
export interface Listed<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

/** The data of an endpoint's page. */
export interface EndpointFacts {
  readonly webhook: Webhook;
  readonly stats: Stats;
  readonly range: Range;
  readonly nowMs: number;
  /** Newest first. */
  readonly failures: readonly Attempt[];
  /** The attempt of the test that was just sent. Null: it is under way. */
  readonly test: Attempt | null | undefined;
  /** Completed ones, from which the endpoint can start again. */
  readonly exports: readonly Export[];
}

/** Failures that the page shows at most. */
const MAX_FAILURES = 5;

/** Exports that a form offers at most. */
const MAX_EXPORTS = 20;

/** Reads the data of the page by operations of the API. @throws AppError as these operations do */
export async function readEndpoint(visit: Visit, nowMs = Date.now()): Promise<EndpointFacts> {
  const params = { id: visit.request.param('id') };
  const range = rangeOf(visit.query.get('range'));
  const { fromMs, toMs } = spanOf(range, nowMs);
  const span = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
  const attempts = async (query: Readonly<Record<string, unknown>>) =>
    (await visit.ask<Listed<Attempt>>('listWebhookAttempts', { params, query })).data;
  const testId = /^test_\w{1,40}$/.exec(visit.query.get('test') ?? '')?.[0];
  const webhook = await visit.ask<Webhook>('getWebhook', { params });
  return {
    webhook,
    stats: await visit.ask<Stats>('getWebhookStats', { params, query: span }),
    range,
    nowMs,
    failures: await attempts({ outcome: 'failed', limit: MAX_FAILURES }),
    test: testId === undefined ? undefined : ((await attempts({ event_id: testId, limit: 1 }))[0] ?? null),
    exports: visit.may('webhooks:write') ? await completedExports(visit) : [],
  };
}

function rangeOf(name: string | null): Range {
  return name !== null && Object.hasOwn(RANGES, name) ? (name as Range) : 'day';
}

/** Exports that an endpoint can start after, newest first. None for a session that may not see them. */
export async function completedExports(visit: Visit): Promise<readonly Export[]> {
  if (!visit.may('exports:read')) return [];
  const query = { status: 'completed', kind: 'records', limit: MAX_EXPORTS };
  return (await visit.ask<Listed<Export>>('listExports', { query })).data;
}
