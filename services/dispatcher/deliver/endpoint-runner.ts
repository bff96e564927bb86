import { eventId } from '../../../shared/domain/position.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { SendOutcome } from '../send/send.ts';
import { type AttemptDeps, createAttempt } from './attempt.ts';
import type { Delivery } from './delivery.ts';
import { describeFailure } from './describe-outcome.ts';
import type { Endpoint, EndpointSettings } from './endpoint.ts';
import { afterFailure, afterSuccess, afterThrottling, isLost, isOpen } from './endpoint-health.ts';
import type { EventRun } from './event-run.ts';
import { judge, type Verdict } from './judge.ts';
import { createLanes } from './lanes.ts';
import { createLedger } from './ledger.ts';
import { createProgress } from './progress.ts';
import type { ProgressSaver, Savable } from './progress-saver.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { createReadAhead, type ReadAheadDeps } from './read-ahead.ts';
import { nextAttemptAtMs } from './retry-policy.ts';

/** An event answered with "not now" so often is taken for the cause of it, and parked. */
const MAX_RETURNS = 3;

/** Events that are not wanted move the cursor too; that alone is saved at most this often. */
const IDLE_SAVE_MS = 2_000;

/** After a failed look into the control store. */
const STORE_RETRY_MS = 1_000;

/** `setTimeout` takes no more than 2^31 ms. */
const MAX_TIMER_MS = 60 * 60 * 1_000;

export interface RunnerDeps extends AttemptDeps {
  readonly readEvents: ReadAheadDeps['readEvents'];
  readonly saver: ProgressSaver;
  /** Whether the lease is good for another request, and the process has room for it beside this endpoint's `inFlight`. */
  readonly maySend: (inFlight: number) => boolean;
  /** The endpoint is no longer ours; the runner has stopped. */
  readonly onLost: (endpointId: string) => void;
  readonly random: () => number;
  /** See `retry-policy.ts`. */
  readonly retryDelaysMs: readonly number[];
  readonly log: Log;
}

/** Delivers one endpoint's events, for as long as it is leased here. */
export interface EndpointRunner {
  readonly settings: EndpointSettings;
  /** Deliveries under way, or done and not saved yet. */
  readonly inFlight: number;
  /** There may be something new to do. */
  wake(): void;
  /** These were just recorded. They need not be looked up, if they are what comes next. */
  offer(run: EventRun): void;
  /** From now on works by these settings (its cursor stays its own); a request that already started is finished by the former ones. */
  apply(endpoint: Endpoint): void;
  /** Takes up deliveries as they are parked in the control store now; those under way are left as they are. */
  addParked(deliveries: readonly Delivery[]): void;
  /** Starts nothing any more; resolves when everything under way is finished and saved. */
  drain(): Promise<void>;
  /** Breaks off at once and saves nothing: somebody else delivers now. */
  abandon(): void;
}

export function createEndpointRunner(endpoint: Endpoint, deps: RunnerDeps): EndpointRunner {
  let { settings, health } = endpoint;
  const progress = createProgress(endpoint.cursor, endpoint.done);
  const lanes = createLanes();
  const broken = new AbortController();
  const log = deps.log.child({ endpointId: settings.id });

  let rate: RateLimit = createRateLimit(settings.rateLimit);
  let inFlight = 0;
  let isDraining = false;
  let isOver = false;
  let disabledBy: string | undefined;
  let onDrained: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;

  const ledger = createLedger(settings.id);
  const readAhead = createReadAhead({
    settings: () => settings,
    progress,
    lanes,
    readEvents: deps.readEvents,
    singularOf: deps.singularOf,
  });
  /** Places in the window that the save under way will give back. */
  let saving: readonly (() => void)[] = [];
  let isSaving = false;
  let idleSaveAtMs = 0;

  const savable: Savable = {
    id: settings.id,
    collect() {
      if (isOver || !ledger.isDirty) return undefined;
      isSaving = true;
      const { parked, unparked, releases } = ledger.take();
      saving = releases;
      const { cursor, done } = progress.state();
      const saved = {
        endpointId: settings.id,
        cursorEpoch: settings.cursorEpoch,
        cursor,
        done,
        health,
        disabledBy,
      };
      return { endpoints: [saved], parked, unparked };
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
      // Only now do places in the window become free: what a crash can repeat is never more than the window.
      for (const release of saving) {
        release();
        inFlight -= 1;
      }
      saving = [];
      pump();
    },
  };

  const markDirty = () => {
    ledger.touch();
    deps.saver.mark(savable);
  };

  /** Counts the delivery as seen to, from the next save on; `release` then lets its lane go on. */
  const finish = (delivery: Delivery, release: () => void) => {
    if (delivery.pending !== undefined) progress.finish(delivery.pending);
    delivery.pending = undefined;
    ledger.close(release);
    deps.saver.mark(savable);
  };

  /** Nothing more is done about it; its place is free once that is saved. */
  const close = (delivery: Delivery, wasParked: boolean) => {
    if (wasParked) ledger.unpark(delivery);
    finish(delivery, () => lanes.complete(delivery));
  };

  /** Stays the first of its record, and is tried again when the endpoint may be asked again. */
  const giveBack = (delivery: Delivery) => {
    lanes.giveBack(delivery);
    inFlight -= 1;
  };

  /** It is not tried again by itself. */
  const bury = (delivery: Delivery, lastError: Readonly<Record<string, unknown>>) => {
    log.warn('delivery.dead', {
      eventId: eventId(delivery.position),
      attempts: delivery.attemptCount,
      cause: lastError.class,
    });
    ledger.park(delivery, 'dead', undefined, lastError);
    finish(delivery, () => lanes.complete(delivery));
  };

  const parkOrBury = (delivery: Delivery, lastError: Readonly<Record<string, unknown>>) => {
    delivery.attemptCount += 1;
    delivery.returnCount = 0;
    const nextAtMs = nextAttemptAtMs(delivery.attemptCount, deps.now(), deps.random, deps.retryDelaysMs);
    delivery.payload = undefined;
    if (nextAtMs === undefined) {
      bury(delivery, lastError);
      return;
    }
    delivery.nextAttemptAtMs = nextAtMs;
    ledger.park(delivery, 'waiting', nextAtMs, lastError);
    finish(delivery, () => lanes.park(delivery));
  };

  const disable = (reason: string) => {
    if (disabledBy !== undefined) return;
    disabledBy = reason;
    log.warn('endpoint.disabled', { reason });
    markDirty();
  };

  const settle = (delivery: Delivery, outcome: SendOutcome): Verdict['kind'] => {
    const nowMs = deps.now();
    const wasParked = delivery.pending === undefined;
    const verdict = judge(outcome, nowMs);
    const lastError = () => describeFailure(outcome, nowMs);
    switch (verdict.kind) {
      case 'delivered':
        health = afterSuccess(health, settings.maxInFlight);
        close(delivery, wasParked);
        break;
      case 'aborted':
        giveBack(delivery);
        break;
      case 'gone':
        disable('the endpoint answered 410 Gone');
        giveBack(delivery);
        break;
      case 'throttled':
        health = afterThrottling(health, inFlight, verdict.restMs, nowMs, deps.random);
        delivery.returnCount += 1;
        if (delivery.returnCount <= MAX_RETURNS || isOpen(health)) {
          giveBack(delivery);
          markDirty();
        } else {
          parkOrBury(delivery, lastError());
        }
        break;
      case 'failed':
        health = afterFailure(health, nowMs, deps.random);
        // While the endpoint as a whole fails, its cursor stands still: an outage costs no row per event.
        if (isOpen(health) && !wasParked) {
          giveBack(delivery);
          markDirty();
        } else {
          parkOrBury(delivery, lastError());
        }
    }
    if (isLost(health, nowMs)) disable('every delivery has failed for days');
    return verdict.kind;
  };

  const makeAttempt = createAttempt(
    () => settings,
    () => settings.isActive && deps.maySend(inFlight - 1),
    broken.signal,
    deps,
  );

  const attempt = async (delivery: Delivery): Promise<void> => {
    const result = await makeAttempt(delivery);
    if (isOver) return;
    switch (result.kind) {
      case 'unwanted':
        close(delivery, delivery.pending === undefined);
        return;
      case 'withheld':
        giveBack(delivery);
        return;
      case 'expired':
        bury(delivery, { class: 'expired', message: 'the event is no longer kept' });
        return;
      case 'sent': {
        const { outcome } = result;
        const verdict = settle(delivery, outcome);
        const write = verdict === 'delivered' ? log.debug : log.info;
        write('delivery.attempted', {
          eventId: eventId(delivery.position),
          attempt: delivery.attemptCount,
          verdict,
          status: outcome.kind === 'answered' ? outcome.status : outcome.errorClass,
          durationMs: outcome.durationMs,
          inFlight,
        });
      }
    }
  };

  const start = async (delivery: Delivery): Promise<void> => {
    inFlight += 1;
    try {
      await attempt(delivery);
    } catch (error) {
      if (isOver) return;
      log.warn('delivery.not_started', { eventId: eventId(delivery.position), error });
      giveBack(delivery);
      health = { ...health, restUntilMs: Math.max(health.restUntilMs, deps.now() + STORE_RETRY_MS) };
    }
    pump();
  };

  const noteRead = (count: number) => {
    if (count > 0) idleSaveAtMs ||= deps.now() + IDLE_SAVE_MS;
  };

  const read = async (): Promise<void> => {
    try {
      noteRead(await readAhead.read());
    } catch (error) {
      health = { ...health, restUntilMs: Math.max(health.restUntilMs, deps.now() + STORE_RETRY_MS) };
      log.warn('events.not_read', { error });
    }
    pump();
  };

  /** The read-ahead is full: what waits in it for a parked delivery is parked too, and the cursor goes on. */
  const spill = () => {
    if (isOpen(health)) return;
    for (const delivery of readAhead.spill()) {
      delivery.payload = undefined;
      ledger.park(delivery, 'waiting', undefined, undefined);
      if (delivery.pending !== undefined) progress.finish(delivery.pending);
      delivery.pending = undefined;
      markDirty();
    }
  };

  const mayStart = (nowMs: number): boolean =>
    inFlight < Math.min(settings.maxInFlight, health.window) &&
    nowMs >= health.restUntilMs &&
    nowMs >= rate.nextAtMs &&
    deps.maySend(inFlight);

  /** Without a key nothing can be signed, and unsigned it would only be refused. */
  const isAtRest = () =>
    isDraining || !settings.isActive || disabledBy !== undefined || settings.keys.length === 0;

  const pump = (): void => {
    if (isOver) return;
    const nowMs = deps.now();
    const isStopped = isAtRest();
    while (!isStopped && mayStart(nowMs)) {
      const delivery = lanes.take(nowMs);
      if (delivery === undefined) break;
      rate.take(nowMs);
      void start(delivery);
    }
    if (!isStopped && readAhead.mayHaveMore && nowMs >= health.restUntilMs) {
      spill();
      if (readAhead.isDue()) void read();
    }
    if (idleSaveAtMs > 0 && (nowMs >= idleSaveAtMs || isDraining)) {
      idleSaveAtMs = 0;
      markDirty();
    }
    if (isDraining && inFlight === 0 && !ledger.isDirty && !isSaving) onDrained?.();
    schedule(nowMs, isStopped);
  };

  const schedule = (nowMs: number, isStopped: boolean) => {
    clearTimeout(timer);
    timer = undefined;
    let atMs = idleSaveAtMs > 0 ? idleSaveAtMs : Number.POSITIVE_INFINITY;
    if (!isStopped) {
      const hasWork = lanes.readyCount > 0 || readAhead.mayHaveMore;
      if (hasWork && health.restUntilMs > nowMs) atMs = Math.min(atMs, health.restUntilMs);
      if (hasWork && rate.nextAtMs > nowMs) atMs = Math.min(atMs, rate.nextAtMs);
      atMs = Math.min(atMs, Math.max(lanes.nextDueAtMs(), health.restUntilMs));
    }
    if (atMs === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(pump, Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(atMs - nowMs))));
  };

  const runner: EndpointRunner = {
    get settings() {
      return settings;
    },
    get inFlight() {
      return inFlight;
    },
    wake() {
      readAhead.wake();
      pump();
    },
    offer(run) {
      if (isOver) return;
      // While it rests, what it will have to do later stays in the log.
      if (isAtRest() || deps.now() < health.restUntilMs) readAhead.wake();
      else if (readAhead.take(run)) noteRead(run.events.length);
      pump();
    },
    apply({ settings: next, health: stored }) {
      if (next.rateLimit !== settings.rateLimit) rate = createRateLimit(next.rateLimit);
      // Another place may work where the former did not, and an owner who resumes says that it does.
      const isResumed = stored.failuresInRow === 0 && stored.restUntilMs === 0;
      if (next.url !== settings.url || isResumed) health = { ...health, restUntilMs: 0 };
      settings = next;
      readAhead.wake();
      pump();
    },
    addParked(deliveries) {
      for (const delivery of deliveries) lanes.addParked(delivery);
      pump();
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
