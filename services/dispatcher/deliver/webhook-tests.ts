import type { WebhookTestResult } from '../../../shared/control/webhooks/test-deliveries.ts';
import { toBatch } from '../../../shared/protocol/webhook-message.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import type { Send, SendOutcome, SendRequest } from '../send/send.ts';
import type { Attempt } from '../store/record-attempts.ts';
import { describeRequest, toRequest } from './attempt.ts';
import { describeAttempt } from './classify-outcome.ts';

/**
 * Poll interval. The api notifies through the control store, so this only bounds the delay after a lost notification.
 */
const ROUND_MS = 1_000;

/** Limit of concurrent tests of one dispatcher. Others wait, or another dispatcher takes them. */
const MAX_UNDER_WAY = 20;

/** A test ignores the stop signal: it ends within its own deadline. */
const NEVER = new AbortController().signal;

export interface WebhookTest {
  readonly settings: EndpointSettings;
  readonly eventId: string;
  readonly payload: string;
}

export interface WebhookTestDeps {
  readonly claim: (limit: number) => Promise<readonly WebhookTest[]>;
  readonly saveResult: (test: WebhookTest, result: WebhookTestResult) => Promise<void>;
  readonly send: Send;
  /** Why deliveries to this URL are forbidden, or undefined when they are allowed. */
  readonly findUrlProblem: (url: string) => string | undefined;
  readonly noteAttempt: (attempt: Attempt) => void;
  readonly now: () => number;
  readonly log: Log;
}

export interface WebhookTests extends Worker {
  /** Checks for requested tests soon. */
  look(): void;
}

/**
 * Sends test events that owners ask for, beside the deliveries. A test is sent once, whatever the endpoint's state, and
 * its outcome changes nothing but the result shown to the owner.
 */
export function createWebhookTests(deps: WebhookTestDeps): WebhookTests {
  const { log } = deps;
  const notifier = createNotifier();
  const underWay = new Set<Promise<void>>();

  /** Undefined when the URL is forbidden, or the request can't be signed. */
  const requestOf = ({ settings, eventId, payload }: WebhookTest, nowMs: number): SendRequest | undefined => {
    if (deps.findUrlProblem(settings.url) !== undefined || settings.keys.length === 0) return undefined;
    // In the endpoint's format, so that the test also covers the receiver's parsing.
    const batch = settings.batching && toBatch([{ id: eventId, text: payload }]);
    return toRequest(settings, batch?.id ?? eventId, batch?.body ?? payload, nowMs, NEVER);
  };

  const refusalOf = ({ settings }: WebhookTest): SendOutcome => {
    const urlProblem = deps.findUrlProblem(settings.url);
    const refused = { kind: 'failed', errorClass: 'invalid_url', durationMs: 0 } as const;
    if (urlProblem !== undefined) return { ...refused, message: `the URL ${urlProblem}` };
    return { ...refused, errorClass: 'aborted', message: 'no signing secret could be decrypted' };
  };

  const run = async (test: WebhookTest): Promise<void> => {
    const startedAtMs = deps.now();
    const request = requestOf(test, startedAtMs);
    const outcome = request === undefined ? refusalOf(test) : await deps.send(request);
    const { settings, eventId } = test;
    const { durationMs } = outcome;
    const described = describeAttempt(outcome);
    const { status, outcome: verdict, excerpt } = described;
    const isBatch = request !== undefined && settings.batching !== undefined;
    deps.noteAttempt({
      endpointId: settings.id,
      eventId,
      batch: isBatch ? { id: request.headers['webhook-id'] ?? '', eventIds: [eventId] } : undefined,
      attempt: 1,
      startedAtMs,
      durationMs,
      committedAtMs: undefined,
      request: request && describeRequest(request),
      ...described,
    });
    log.info('webhook_test.sent', { endpointId: settings.id, eventId, status, outcome: verdict, durationMs });
    await deps.saveResult(test, {
      started_at: new Date(startedAtMs).toISOString(),
      duration_ms: Math.round(durationMs),
      status: status ?? null,
      outcome: verdict,
      excerpt: excerpt ?? null,
    });
  };

  const start = (test: WebhookTest): void => {
    const done = run(test)
      .catch((error: unknown) =>
        log.warn('webhook_test.not_reported', { endpointId: test.settings.id, eventId: test.eventId, error }),
      )
      .finally(() => {
        underWay.delete(done);
        notifier.notify();
      });
    underWay.add(done);
  };

  return {
    name: 'webhook-tests',
    look: () => notifier.notify(),
    async run(signal) {
      while (!signal.aborted) {
        try {
          const room = MAX_UNDER_WAY - underWay.size;
          if (room > 0) for (const test of await deps.claim(room)) start(test);
        } catch (error) {
          log.warn('webhook_tests.not_claimed', { error });
        }
        await notifier.wait(ROUND_MS, signal);
      }
      await Promise.all(underWay);
    },
  };
}
