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

/** A batch that was answered this often with "try again later" is treated as the cause of those answers. */
const MAX_RETURNS = 3;

export interface SettlementDeps {
  readonly settings: () => EndpointSettings;
  readonly queues: OrderingQueues;
  readonly progress: Progress;
  readonly ledger: Ledger;
  /** There is something to save. `isWaitedFor`: deliveries wait for that save. */
  readonly onDirty: (isWaitedFor: boolean) => void;
  readonly now: () => number;
  readonly random: () => number;
  /** See `classify-outcome.ts`. */
  readonly retryDelaysMs: readonly number[];
  readonly log: Log;
}

/**
 * Applies the outcomes of an endpoint's requests to its batches and its health. A batch is under way until its outcome
 * is known, then unsaved until the save of that outcome. A batch that is put back is neither.
 */
export interface Settlement {
  /** Number of batches under way. */
  readonly inFlight: number;
  /** Number of finished batches that are not saved yet. A crash repeats them. */
  readonly unsaved: number;
  readonly health: EndpointHealth;
  /** Why the endpoint is to be disabled, or undefined. */
  readonly disabledBy: string | undefined;
  begin(): void;
  /** Applies an outcome. @returns what the outcome meant */
  settle(batch: DeliveryBatch, outcome: SendOutcome): Verdict['kind'];
  /** Ends a batch for which nothing is left to do. */
  close(batch: DeliveryBatch): void;
  /** Puts a batch back unchanged, to be sent when the endpoint accepts requests again. */
  giveBack(batch: DeliveryBatch): void;
  /** Ends a batch as failed for good: it is not tried again automatically. */
  bury(batch: DeliveryBatch, lastError: Readonly<Record<string, unknown>>): void;
  /**
   * Schedules a delivery for retry behind earlier retries of its record, and drops its payload from memory. It counts
   * neither as under way nor as unsaved.
   */
  overflowToRetry(delivery: Delivery): void;
  /** Leaves a delivery to the log, to be read again after the retries of its record. */
  pass(delivery: Delivery): void;
  /** Saves a new or changed retry schedule of deliveries. They count neither as under way nor as unsaved. */
  notePlaces(deliveries: readonly Delivery[]): void;
  /** Starts no request before this time. */
  restUntil(atMs: number): void;
  /** Ends the pause of the endpoint. */
  wakeUp(): void;
}

export function createSettlement(initial: EndpointHealth, deps: SettlementDeps): Settlement {
  const { settings, queues, progress, ledger, onDirty, now, random, log } = deps;
  let health = initial;
  let inFlight = 0;
  let unsaved = 0;
  let disabledBy: string | undefined;

  /**
   * Ends a batch. It counts as unsaved until the next save, and only then `release` lets its queues continue. If a
   * later event of a record were delivered before the save, a crash would repeat the earlier one after it.
   */
  const finish = (batch: DeliveryBatch, release: () => void) => {
    // Starts with the last, so that the cursor moves once, over all of them.
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
      // A delivery whose replay was requested meanwhile stays scheduled.
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
    // The outcome counts as that of the first requested replay.
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

  /** One event of a batch may cause the failure: smaller batches find it, and the others get through. */
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
          // While all of the endpoint's requests fail, its cursor stands still, so an outage adds no row per event.
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
