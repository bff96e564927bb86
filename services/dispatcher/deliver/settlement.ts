import { DISABLED_REASONS } from '../../../shared/domain/disabled-reasons.ts';
import { eventId } from '../../../shared/domain/position.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import {
  afterFailure,
  afterSuccess,
  afterThrottling,
  type EndpointHealth,
  isLost,
  isOpen,
} from '../endpoints/endpoint-health.ts';
import type { SendOutcome } from '../send/send.ts';
import type { Delivery, Progress } from '../store/progress.ts';
import { classifyOutcome, describeFailure, nextAttemptAtMs, type Verdict } from './classify-outcome.ts';
import { type DeliveryBatch, halve } from './delivery-batch.ts';
import type { Ledger } from './ledger.ts';
import type { OrderingQueues } from './ordering-queues.ts';

/** A batch answered with "not now" so often is taken for the cause of it. */
const MAX_RETURNS = 3;

export interface SettlementDeps {
  readonly settings: () => EndpointSettings;
  readonly queues: OrderingQueues;
  readonly progress: Progress;
  readonly ledger: Ledger;
  /** There is something to save, and perhaps something that goes on only then. */
  readonly onDirty: (isWaitedFor: boolean) => void;
  readonly now: () => number;
  readonly random: () => number;
  /** See `classify-outcome.ts`. */
  readonly retryDelaysMs: readonly number[];
  readonly log: Log;
}

/**
 * What becomes of an endpoint's batches, and of its health by them. Each that is begun is under way until its outcome is
 * known. From then on it is unsaved, unless it is given back, until the save that says so.
 */
export interface Settlement {
  /** Batches under way. */
  readonly inFlight: number;
  /** Batches seen to and not saved yet: a crash repeats them. */
  readonly unsaved: number;
  readonly health: EndpointHealth;
  /** Why the endpoint is to be disabled; undefined while it is not. */
  readonly disabledBy: string | undefined;
  begin(): void;
  /** Does what the outcome calls for. @returns what it was taken for */
  settle(batch: DeliveryBatch, outcome: SendOutcome): Verdict['kind'];
  /** Nothing more is done about it. */
  close(batch: DeliveryBatch): void;
  /** It is tried again as it is, when the endpoint may be asked again. */
  giveBack(batch: DeliveryBatch): void;
  /** It is not tried again by itself. */
  bury(batch: DeliveryBatch, lastError: Readonly<Record<string, unknown>>): void;
  /** Its text is forgotten, and its record waits for the retries before it. It counts neither as under way nor as unsaved. */
  overflowToRetry(delivery: Delivery): void;
  /** Its record has enough retries: it is read from the log again when those are through. */
  pass(delivery: Delivery): void;
  /** These are scheduled for retry now, or otherwise than before. They count neither as under way nor as unsaved. */
  notePlaces(deliveries: readonly Delivery[]): void;
  /** No request starts before this time. */
  restUntil(atMs: number): void;
  /** Whatever made it rest is over. */
  wakeUp(): void;
}

export function createSettlement(initial: EndpointHealth, deps: SettlementDeps): Settlement {
  const { settings, queues, progress, ledger, onDirty, now, random, log } = deps;
  let health = initial;
  let inFlight = 0;
  let unsaved = 0;
  let disabledBy: string | undefined;

  /**
   * Counts them as seen to, from the next save on. Only then `release` lets their queues go on: a later event of a record
   * that was delivered before the save would be followed by the earlier one after a crash.
   */
  const finish = (batch: DeliveryBatch, release: () => void) => {
    // From behind, so that the cursor moves once, over all of them.
    for (const delivery of batch.deliveries.toReversed()) {
      if (delivery.pending !== undefined) progress.finish(delivery.pending);
      delivery.pending = undefined;
    }
    inFlight -= 1;
    unsaved += 1;
    ledger.close(() => {
      release();
      unsaved -= 1;
    });
    onDirty(queues.isWaitedFor(batch));
  };

  const close = (batch: DeliveryBatch) => {
    for (const delivery of batch.deliveries) {
      // What was asked for again stays scheduled, as it was put there.
      if (delivery.pending === undefined && delivery.askedAgain === undefined) ledger.endRetry(delivery);
    }
    finish(batch, () => queues.complete(batch));
  };

  const giveBack = (batch: DeliveryBatch) => {
    queues.giveBack(batch);
    inFlight -= 1;
  };

  const bury = (batch: DeliveryBatch, lastError: Readonly<Record<string, unknown>>) => {
    for (const delivery of batch.deliveries) {
      log.warn('delivery.dead', {
        eventId: eventId(delivery.position),
        attempts: delivery.attemptCount,
        cause: lastError.class,
      });
      ledger.scheduleRetry(delivery, 'dead', undefined, lastError);
    }
    finish(batch, () => queues.complete(batch));
  };

  const scheduleRetryOrBury = (batch: DeliveryBatch, lastError: Readonly<Record<string, unknown>>) => {
    const [delivery] = batch.deliveries;
    const { askedAgain } = delivery;
    const isAskedAgain = askedAgain !== undefined;
    // The outcome counts as the first of those that were asked for.
    if (isAskedAgain) delivery.askedXid = askedAgain.askedXid;
    delete delivery.askedAgain;
    delivery.attemptCount = isAskedAgain ? 1 : delivery.attemptCount + 1;
    delivery.payload = undefined;
    const nextAtMs = isAskedAgain
      ? now()
      : nextAttemptAtMs(delivery.attemptCount, now(), random, deps.retryDelaysMs);
    if (nextAtMs === undefined) {
      bury(batch, lastError);
      return;
    }
    delivery.nextAttemptAtMs = nextAtMs;
    ledger.scheduleRetry(delivery, 'waiting', nextAtMs, lastError);
    finish(batch, () => queues.scheduleRetry(delivery));
  };

  /** Of many events one may be at fault: smaller batches find it, and the others get through. */
  const splitOrScheduleRetry = (batch: DeliveryBatch, lastError: Readonly<Record<string, unknown>>) => {
    const halves = halve(batch, settings().order);
    if (halves === undefined) {
      scheduleRetryOrBury(batch, lastError);
      return;
    }
    for (const half of halves) queues.giveBack(half);
    inFlight -= 1;
    onDirty(false);
  };

  const passOver = (delivery: Delivery) => {
    if (delivery.pending !== undefined) progress.finish(delivery.pending);
    delivery.pending = undefined;
    onDirty(false);
  };

  const disable = (reason: string) => {
    if (disabledBy !== undefined) return;
    disabledBy = reason;
    log.warn('endpoint.disabled', { reason });
    onDirty(false);
  };

  return {
    get inFlight() {
      return inFlight;
    },
    get unsaved() {
      return unsaved;
    },
    get health() {
      return health;
    },
    get disabledBy() {
      return disabledBy;
    },
    begin() {
      inFlight += 1;
    },
    settle(batch, outcome) {
      const nowMs = now();
      const verdict = classifyOutcome(outcome, nowMs);
      switch (verdict.kind) {
        case 'delivered':
          health = afterSuccess(health, nowMs, settings().maxInFlight);
          close(batch);
          break;
        case 'aborted':
          giveBack(batch);
          break;
        case 'gone':
          disable(DISABLED_REASONS.gone);
          giveBack(batch);
          break;
        case 'throttled':
          health = afterThrottling(health, inFlight, verdict.restMs, nowMs, random);
          batch.returnCount += 1;
          if (batch.returnCount <= MAX_RETURNS || isOpen(health)) {
            giveBack(batch);
            onDirty(false);
          } else {
            splitOrScheduleRetry(batch, describeFailure(outcome, nowMs));
          }
          break;
        case 'failed': {
          health = afterFailure(health, nowMs, random);
          const wasRetry = batch.deliveries[0].pending === undefined;
          // While the endpoint as a whole fails, its cursor stands still: an outage costs no row per event.
          if (isOpen(health) && !wasRetry) {
            giveBack(batch);
            onDirty(false);
          } else {
            splitOrScheduleRetry(batch, describeFailure(outcome, nowMs));
          }
        }
      }
      if (isLost(health, nowMs)) disable(DISABLED_REASONS.failing);
      return verdict.kind;
    },
    close,
    giveBack,
    bury,
    overflowToRetry(delivery) {
      delivery.payload = undefined;
      ledger.scheduleRetry(delivery, 'waiting', undefined, undefined);
      passOver(delivery);
    },
    pass: passOver,
    notePlaces(deliveries) {
      for (const delivery of deliveries) {
        ledger.scheduleRetry(delivery, 'waiting', delivery.nextAttemptAtMs, undefined);
      }
      if (deliveries.length > 0) onDirty(false);
    },
    restUntil(atMs) {
      health = { ...health, restUntilMs: Math.max(health.restUntilMs, atMs) };
    },
    wakeUp() {
      health = { ...health, restUntilMs: 0 };
    },
  };
}
