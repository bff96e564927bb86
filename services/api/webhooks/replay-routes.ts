import type { Pool } from 'pg';
import { z } from 'zod';
import { moveCursor } from '../../../shared/control/webhooks/deliver-again.ts';
import { requestFailedReplay } from '../../../shared/control/webhooks/replay-failed.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError, type FieldError } from '../../../shared/runtime/errors.ts';
import type { SecretBox } from '../../../shared/runtime/secret-box.ts';
import { type Retention, resolveStart } from '../exports/feed-start.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf, type Caller } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { formatInstant, instantSchema, parseInstant } from '../http/instant.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { invalid } from '../http/validate.ts';
import { EXAMPLE_FAILED_REPLAY, EXAMPLE_WEBHOOK } from './examples.ts';
import { failedReplaySchema, presentWebhook, webhookSchema } from './response.ts';
import { known } from './routes.ts';
import { awaitApplied, findWebhook, type WebhookRow } from './store.ts';

export interface ReplayDeps {
  readonly pool: Pool;
  readonly retention: () => Retention;
  readonly secretBox: Pick<SecretBox, 'open'>;
  readonly now: () => number;
}

const place = z.string().min(1).max(100).optional();

const replayBodySchema = z.strictObject({
  since: place.meta({
    description:
      'A timestamp with a zone, an event ID or a position. With `only`, a timestamp: the same as `from`.',
  }),
  after_export: place.meta({ description: 'Start exactly where this export’s snapshot ends.' }),
  only: z.literal('failed').optional().meta({
    description:
      'Only events whose last attempt failed, given up or waiting for a retry. The position of the webhook endpoint stays.',
  }),
  from: instantSchema
    .optional()
    .meta({ description: 'With `only`: the last attempt failed at this time or later.' }),
  to: instantSchema.optional().meta({
    description: 'With `only`: the last attempt failed before this time. Default, and at most: now.',
  }),
});

type ReplayBody = z.output<typeof replayBodySchema>;

export function replayRoutes(deps: ReplayDeps): Route[] {
  const { pool } = deps;

  const replayFeed = async (webhook: WebhookRow, body: ReplayBody, caller: Caller) => {
    const start =
      body.after_export === undefined ? { since: body.since ?? '' } : { after_export: body.after_export };
    await inTransaction(pool, async (db) => {
      const cursor = await resolveStart(db, webhook.account_id, start, '', deps.retention());
      await moveCursor(db, webhook.id, cursor);
      await recordAudit(db, auditOf(webhook, caller, start));
    });
    await awaitApplied(pool, webhook.id);
    const moved = known(await findWebhook(pool, webhook.account_id, webhook.id), webhook.id);
    return jsonResponse(200, presentWebhook(moved, deps.now(), deps.secretBox, caller));
  };

  const replayFailed = async (webhook: WebhookRow, body: ReplayBody, caller: Caller) => {
    const now = deps.now();
    const [from, asked, latest] = [body.from ?? body.since, body.to, new Date(now).toISOString()].map(
      (text) => parseInstant(text ?? '') ?? 0n,
    ) as [bigint, bigint, bigint];
    const to = body.to === undefined || asked > latest ? latest : asked;
    if (from >= to) throw invalid([{ pointer: '/from', detail: 'must be before to, and before now' }]);
    const range = { from: formatInstant(from), to: formatInstant(to) };
    await inTransaction(pool, async (db) => {
      if (!(await requestFailedReplay(db, webhook.id, range.from, range.to))) {
        throw new AppError(
          'conflict',
          'A replay of failed events of this webhook endpoint is running. Its statistics show it as failed_replay. Pause the webhook endpoint to replace it.',
          { retryAfterSeconds: 5 },
        );
      }
      await recordAudit(db, auditOf(webhook, caller, { only: 'failed', ...range }));
    });
    const shown: z.input<typeof failedReplaySchema> = {
      ...range,
      requested_at: new Date(now).toISOString(),
    };
    return jsonResponse(202, shown, { 'retry-after': '5' });
  };

  return [
    defineRoute({
      access: 'webhooks:write',
      account: 'any',
      method: 'POST',
      path: '/webhooks/{id}/replay',
      operationId: 'replayWebhook',
      tag: 'webhooks',
      summary: 'Deliver all events after a position again, or those that failed',
      description:
        'Moves the webhook endpoint back, so that all later events are delivered again, with the same IDs, also those that were given up. A place that it has yet to reach leaves it where it is, so no event is passed over. With `only: failed` it stays where it is, and events whose last attempt failed between `from` and `to` are scheduled again, in the order of the feed. Those that were delivered since are left out. At a webhook endpoint that is paused or disabled the replay waits until it is resumed, and another request replaces it.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook }, body: { since: EXAMPLE.event } },
      problems: {
        not_found: 'There is no such webhook endpoint, or no export `after_export`.',
        conflict:
          'The export `after_export` has not completed, or a replay of failed events is running already.',
      },
      body: replayBodySchema,
      bodyRules,
      responses: {
        200: {
          description: 'The webhook endpoint with its new position.',
          schema: webhookSchema,
          example: EXAMPLE_WEBHOOK,
        },
        202: {
          description:
            'With `only`: the replay has begun. The statistics show it as `failed_replay` until its end.',
          schema: failedReplaySchema,
          example: EXAMPLE_FAILED_REPLAY,
          headers: ['Retry-After'],
        },
      },
      async handle({ param, body, accountId, caller }) {
        const webhook = known(await findWebhook(pool, accountId, param('id')), param('id'));
        return body.only === undefined
          ? replayFeed(webhook, body, caller)
          : replayFailed(webhook, body, caller);
      },
    }),
  ];
}

function bodyRules({ since, after_export, only, from, to }: Readonly<Record<string, unknown>>): FieldError[] {
  if (only === undefined) {
    const faults = Object.entries({ from, to }).flatMap(([name, value]) =>
      value === undefined ? [] : [{ pointer: `/${name}`, detail: 'needs "only": "failed"' }],
    );
    if ((since === undefined) === (after_export === undefined)) {
      faults.push({ pointer: '/since', detail: 'give exactly one of since and after_export' });
    }
    return faults;
  }
  const faults: FieldError[] = [];
  if (after_export !== undefined) {
    faults.push({ pointer: '/after_export', detail: 'cannot be combined with only; give from' });
  }
  if ((since === undefined) === (from === undefined)) {
    faults.push({ pointer: '/from', detail: 'give exactly one of from and since' });
  } else if (typeof since === 'string' && parseInstant(since) === undefined) {
    faults.push({ pointer: '/since', detail: 'must be a timestamp with a zone, because only is given' });
  }
  return faults;
}

function auditOf(webhook: WebhookRow, caller: Caller, details: Readonly<Record<string, unknown>>) {
  return {
    accountId: webhook.account_id,
    actor: actorOf(caller),
    action: 'webhook.replayed' as const,
    subjectId: webhook.id,
    details,
  };
}
