import { eventId } from '../../../shared/domain/position.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Endpoint, EndpointSettings } from '../endpoints/endpoint.ts';
import { isOpen } from '../endpoints/endpoint-health.ts';
import { createProgress, type Delivery } from '../store/progress.ts';
import type { EventRun } from '../store/read-events.ts';
import { type AttemptDeps, createAttempt } from './attempt.ts';
import { createCatchUp, type ReadRecordEvents } from './catch-up.ts';
import type { DeliveryBatch } from './delivery-batch.ts';
import { createLedger } from './ledger.ts';
import { createOrderingQueues } from './ordering-queues.ts';
import type { ProgressSaver, Savable } from './progress-saver.ts';
import { createReadAhead, type ReadAheadDeps } from './read-ahead.ts';
import { createRateLimit, type RateLimit, type StartTurns } from './request-starts.ts';
import { createSettlement } from './settlement.ts';

/** Save interval of a cursor that moved only past unwanted events. */
const IDLE_SAVE_MS = 2_000;

/** Delay after a failed read of the control store. */
const STORE_RETRY_MS = 1_000;

/** `setTimeout` takes no more than 2^31 ms. */
const MAX_TIMER_MS = 60 * 60 * 1_000;

export interface RunnerDeps extends AttemptDeps {
  readonly readEvents: ReadAheadDeps['readEvents'];
  readonly readRecordEvents: ReadRecordEvents;
  readonly saver: ProgressSaver;
  /** Whether the lease allows another request, and the process has room for it beside this endpoint's `inFlight`. */
  readonly maySend: (inFlight: number) => boolean;
  readonly turns: StartTurns;
  /** Called once another dispatcher holds the endpoint. The runner has stopped by then. */
  readonly onLost: (endpointId: string) => void;
  readonly random: () => number;
  readonly retryDelaysMs: readonly number[];
  readonly log: Log;
}

/** Delivers the events of one endpoint while this process holds its lease. */
export interface EndpointRunner {
  readonly settings: EndpointSettings;
  /**
   * The endpoint was disabled, and this runner stays idle. When the owner resumes the endpoint it gets a new runner.
   */
  readonly isGivenUp: boolean;
  /** Checks for new events. */
  wake(): void;
  /** Takes events that were just recorded, which saves a read of the log if they are the next ones. */
  offer(run: EventRun): void;
  /**
   * Uses these settings from now on; requests under way finish with the former ones. The cursor, batching and order do
   * not change: other batching or another order needs a new runner.
   */
  apply(endpoint: Endpoint): void;
  /** Adds the retries that exist at the start. */
  addRetries(deliveries: readonly Delivery[]): void;
  /**
   * Updates retries to their state in the control store, from a read that starts now. Retries under way are left as
   * they are.
   */
  refreshRetries(reading: Promise<readonly Delivery[]>): Promise<void>;
  /** Starts no more requests. Resolves when those under way are finished and saved. */
  drain(): Promise<void>;
  /** Breaks off all requests at once and saves nothing, because another dispatcher delivers now. */
  abandon(): void;
}

export function createEndpointRunner(endpoint: Endpoint, deps: RunnerDeps): EndpointRunner {
  let { settings } = endpoint;
  const progress = createProgress(endpoint.cursor, endpoint.done);
  const queues = createOrderingQueues(settings.batching, settings.order);
  const ledger = createLedger(settings.id);
  const broken = new AbortController();
  const log = deps.log.child({ endpointId: settings.id });
  /** Requests that a crash would repeat. Kept within the endpoint's limit of concurrent requests. */
  const repeatable = () => window.inFlight + window.unsaved;

  const window = createSettlement(endpoint.health, {
    ...deps,
    settings: () => settings,
    queues,
    progress,
    ledger,
    onDirty: (isWaitedFor) => {
      ledger.touch();
      deps.saver.mark(savable, isWaitedFor || repeatable() > settings.maxInFlight / 2);
    },
    log,
  });
  const readAhead = createReadAhead({
    ...deps,
    settings: () => settings,
    inFlight: () => window.inFlight,
    unsaved: () => window.unsaved,
    overflowToRetry: window.overflowToRetry,
    progress,
    queues,
  });
  const catchUp = createCatchUp({ ...deps, settings: () => settings, progress, queues });

  let rate: RateLimit = createRateLimit(settings.rateLimit);
  let isDraining = false;
  let isOver = false;
  /** The last request got a response, here or from the dispatcher before. */
  let isAnswering = endpoint.health.failuresInRow === 0;
  /** Nothing was sent from here. What the dispatcher before knew counts for one request, because the endpoint may hang by now. */
  let isUntried = true;
  let onDrained: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;

  /** What continues after the save under way. */
  let saving: readonly (() => void)[] = [];
  let isSaving = false;
  /**
   * The endpoint is disabled by one save only: an owner may resume it while older requests are still under way, and
   * their saves must not disable it again.
   */
  let isGivingUpTold = false;
  let idleSaveAtMs = 0;

  const savable: Savable = {
    id: settings.id,
    accountId: settings.accountId,
    collect() {
      if (isOver || !ledger.isDirty) return undefined;
      isSaving = true;
      const { retries, endedRetries, releases } = ledger.take();
      saving = releases;
      const { health } = window;
      const { id: endpointId, cursorEpoch, leaseEpoch } = settings;
      const disabledBy = isGivingUpTold ? undefined : window.disabledBy;
      isGivingUpTold ||= disabledBy !== undefined;
      const saved = { endpointId, cursorEpoch, leaseEpoch, ...progress.state(), health, disabledBy };
      return { endpoints: [saved], retries, endedRetries };
    },
    onSaved(isHeld) {
      isSaving = false;
      if (isOver) return;
      if (!isHeld) {
        log.info('endpoint.lost');
        runner.abandon();
        deps.onLost(settings.id);
        return;
      }
      for (const release of saving) release();
      saving = [];
      pump();
    },
  };

  const makeAttempt = createAttempt(
    () => settings,
    () => settings.isActive && deps.maySend(window.inFlight - 1),
    broken.signal,
    deps,
  );

  const attempt = async (batch: DeliveryBatch): Promise<void> => {
    const result = await makeAttempt(batch);
    if (isOver) return;
    switch (result.kind) {
      case 'unwanted':
        window.close(batch);
        return;
      case 'withheld':
        window.giveBack(batch);
        return;
      case 'expired':
        window.bury(batch, { class: 'expired', message: 'the event is no longer retained' });
        return;
      case 'sent': {
        const { outcome } = result;
        const [first] = batch.deliveries;
        isAnswering = outcome.kind === 'answered';
        // A line per request would repeat the first failure a hundred times, and each line is a write.
        const isExpected = isOpen(window.health) && deps.now() < window.health.restUntilMs;
        const verdict = window.settle(batch, outcome);
        const write = verdict === 'delivered' || isExpected ? log.debug : log.info;
        write('delivery.attempted', {
          eventId: eventId(first.position),
          events: batch.deliveries.length,
          attempt: first.attemptCount,
          verdict,
          status: outcome.kind === 'answered' ? outcome.status : outcome.errorClass,
          durationMs: outcome.durationMs,
          inFlight: window.inFlight,
        });
      }
    }
  };

  const start = async (batch: DeliveryBatch): Promise<void> => {
    window.begin();
    try {
      await attempt(batch);
    } catch (error) {
      if (isOver) return;
      log.warn('delivery.not_started', { eventId: eventId(batch.deliveries[0].position), error });
      window.giveBack(batch);
      window.restUntil(deps.now() + STORE_RETRY_MS);
    }
    pump();
  };

  const noteRead = (count: number) => {
    // Events that arrive during a drain belong to the next holder, whose saves must not be overwritten by ours.
    if (count > 0 && !isDraining) idleSaveAtMs ||= deps.now() + IDLE_SAVE_MS;
  };

  const read = async (): Promise<void> => {
    try {
      noteRead(await readAhead.read());
    } catch (error) {
      window.restUntil(deps.now() + STORE_RETRY_MS);
      log.warn('events.not_read', { error });
    }
    pump();
  };

  const readBehind = async (): Promise<void> => {
    try {
      const retries = await catchUp.read();
      if (!isOver && !isDraining) window.notePlaces(retries);
    } catch (error) {
      window.restUntil(deps.now() + STORE_RETRY_MS);
      log.warn('events.not_read', { error });
    }
    pump();
  };

  /** Frees a full read-ahead: events that wait in it for a retry are scheduled for retry, and the cursor moves on. */
  const overflow = () => {
    if (isOpen(window.health)) return;
    const { retries, passed } = readAhead.overflow();
    for (const delivery of retries) window.overflowToRetry(delivery);
    for (const delivery of passed) window.pass(delivery);
  };

  const mayStart = (nowMs: number): boolean =>
    window.inFlight < window.health.window &&
    repeatable() < settings.maxInFlight &&
    nowMs >= window.health.restUntilMs &&
    nowMs >= rate.nextAtMs &&
    deps.maySend(window.inFlight);

  /** Whether the endpoint must not send. Without a key requests can't be signed, and receivers refuse unsigned ones. */
  const isAtRest = () =>
    isDraining || !settings.isActive || window.disabledBy !== undefined || settings.keys.length === 0;

  const takeTurn = (): boolean => {
    const isTaken = deps.turns.take(settings.accountId, pump, isAnswering);
    if (isTaken && isUntried) {
      isUntried = false;
      isAnswering = false;
    }
    return isTaken;
  };

  const pump = (): void => {
    if (isOver) return;
    const nowMs = deps.now();
    const isStopped = isAtRest();
    while (!isStopped && mayStart(nowMs) && queues.hasReady(nowMs) && takeTurn()) {
      const batch = queues.take(nowMs);
      if (batch === undefined) break;
      rate.take(nowMs);
      void start(batch);
    }
    if (!isStopped && readAhead.mayHaveMore && nowMs >= window.health.restUntilMs) {
      overflow();
      if (readAhead.isDue()) void read();
    }
    if (!isStopped && catchUp.isDue() && nowMs >= window.health.restUntilMs) void readBehind();
    if (idleSaveAtMs > 0 && (nowMs >= idleSaveAtMs || isDraining)) {
      idleSaveAtMs = 0;
      ledger.touch();
      deps.saver.mark(savable, isDraining);
    }
    if (isDraining && repeatable() === 0 && !ledger.isDirty && !isSaving) onDrained?.();
    schedule(nowMs, isStopped);
  };

  const schedule = (nowMs: number, isStopped: boolean) => {
    clearTimeout(timer);
    timer = undefined;
    let atMs = idleSaveAtMs > 0 ? idleSaveAtMs : Number.POSITIVE_INFINITY;
    if (!isStopped) {
      const { restUntilMs } = window.health;
      const hasWork = queues.readyCount > 0 || readAhead.mayHaveMore || catchUp.isDue();
      if (hasWork && restUntilMs > nowMs) atMs = Math.min(atMs, restUntilMs);
      if (hasWork && rate.nextAtMs > nowMs) atMs = Math.min(atMs, rate.nextAtMs);
      atMs = Math.min(atMs, Math.max(queues.nextDueAtMs(nowMs), restUntilMs));
    }
    if (atMs === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(pump, Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(atMs - nowMs))));
  };

  const runner: EndpointRunner = {
    get settings() {
      return settings;
    },
    get isGivenUp() {
      return window.disabledBy !== undefined;
    },
    wake() {
      readAhead.wake();
      pump();
    },
    offer(run) {
      if (isOver) return;
      const isKnown = readAhead.mayHaveMore;
      // While the endpoint pauses, later events stay in the log.
      if (isAtRest() || deps.now() < window.health.restUntilMs) readAhead.wake();
      else if (readAhead.take(run)) {
        noteRead(run.events.length);
        pump();
        return;
      }
      // An endpoint without room, or one that pauses, reads the log later; handing it events would cost its neighbours
      // memory.
      if (!isKnown) pump();
    },
    apply({ settings: next, health: stored }) {
      if (next.rateLimit !== settings.rateLimit) rate = createRateLimit(next.rateLimit);
      // Delivery may work from another process. When the owner resumed the endpoint, it starts healthy.
      const isResumed = stored.failuresInRow === 0 && stored.restUntilMs === 0;
      if (next.url !== settings.url || isResumed) window.wakeUp();
      settings = next;
      readAhead.wake();
      pump();
    },
    addRetries(deliveries) {
      for (const delivery of deliveries) queues.addRetry(delivery);
      pump();
    },
    async refreshRetries(reading) {
      queues.reads.begin();
      try {
        runner.addRetries(await reading);
      } finally {
        queues.reads.finish();
      }
    },
    drain: () =>
      new Promise((resolve) => {
        isDraining = true;
        onDrained = resolve;
        if (isOver) resolve();
        pump();
      }),
    abandon() {
      isOver = true;
      clearTimeout(timer);
      broken.abort();
      onDrained?.();
    },
  };
  return runner;
}
