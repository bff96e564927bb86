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

/** Events that are not wanted move the cursor too; that alone is saved at most this often. */
const IDLE_SAVE_MS = 2_000;

/** After a failed look into the control store. */
const STORE_RETRY_MS = 1_000;

/** `setTimeout` takes no more than 2^31 ms. */
const MAX_TIMER_MS = 60 * 60 * 1_000;

export interface RunnerDeps extends AttemptDeps {
  readonly readEvents: ReadAheadDeps['readEvents'];
  readonly readRecordEvents: ReadRecordEvents;
  readonly saver: ProgressSaver;
  /** Whether the lease is good for another request, and the process has room for it beside this endpoint's `inFlight`. */
  readonly maySend: (inFlight: number) => boolean;
  readonly turns: StartTurns;
  /** The endpoint is no longer ours; the runner has stopped. */
  readonly onLost: (endpointId: string) => void;
  readonly random: () => number;
  readonly retryDelaysMs: readonly number[];
  readonly log: Log;
}

/** Delivers one endpoint's events, for as long as it is leased here. */
export interface EndpointRunner {
  readonly settings: EndpointSettings;
  /** It was found to be no good, and stays at rest. An owner who resumes gets another runner. */
  readonly isGivenUp: boolean;
  /** There may be something new to do. */
  wake(): void;
  /** These were just recorded. They need not be looked up, if they are what comes next. */
  offer(run: EventRun): void;
  /**
   * From now on works by these settings; a request that already started is finished by the former ones. Its cursor stays
   * its own, and how events are put together and ordered: for other batches or another order it takes another runner.
   */
  apply(endpoint: Endpoint): void;
  /** Takes up the retries that it starts with. */
  addRetries(deliveries: readonly Delivery[]): void;
  /** Takes up retries as the control store has them, which are being read from now on; those under way are left as they are. */
  refreshRetries(reading: Promise<readonly Delivery[]>): Promise<void>;
  /** Starts nothing any more; resolves when everything under way is finished and saved. */
  drain(): Promise<void>;
  /** Breaks off at once and saves nothing: somebody else delivers now. */
  abandon(): void;
}

export function createEndpointRunner(endpoint: Endpoint, deps: RunnerDeps): EndpointRunner {
  let { settings } = endpoint;
  const progress = createProgress(endpoint.cursor, endpoint.done);
  const queues = createOrderingQueues(settings.batching, settings.order);
  const ledger = createLedger(settings.id);
  const broken = new AbortController();
  const log = deps.log.child({ endpointId: settings.id });
  /** What a crash repeats: never more than the endpoint takes at once. */
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
  /** The last request got a response. */
  let isAnswering = false;
  let onDrained: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;

  /** What the save under way will let go on. */
  let saving: readonly (() => void)[] = [];
  let isSaving = false;
  /** Said once: who resumes the endpoint while requests from before are still under way must not be overruled by their saves. */
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
        // A hundred requests that end together with the first that failed say nothing new, and each line is a write.
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
    // What comes in while it drains is for the next holder, whose saves must not be overtaken by ours.
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

  /** The read-ahead is full: what waits in it for a retry overflows to retry, and the cursor moves on. */
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

  /** Without a key nothing can be signed, and unsigned it would only be refused. */
  const isAtRest = () =>
    isDraining || !settings.isActive || window.disabledBy !== undefined || settings.keys.length === 0;

  const takeTurn = () => deps.turns.take(settings.accountId, pump, isAnswering);

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
      // While it rests, what it will have to do later stays in the log.
      if (isAtRest() || deps.now() < window.health.restUntilMs) readAhead.wake();
      else if (readAhead.take(run)) {
        noteRead(run.events.length);
        pump();
        return;
      }
      // One that has no room, or rests, knows that there is more, and looks once it can: it costs its neighbours nothing.
      if (!isKnown) pump();
    },
    apply({ settings: next, health: stored }) {
      if (next.rateLimit !== settings.rateLimit) rate = createRateLimit(next.rateLimit);
      // Another place may work where the former did not, and an owner who resumes says that it does.
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
