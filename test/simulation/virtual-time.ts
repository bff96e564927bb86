import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';

/** A clock that stands still until it is advanced, in place of the process's own: hours pass as fast as the code runs. */
export interface VirtualTime extends Disposable {
  /** Milliseconds since it began. */
  readonly nowMs: number;
  /** Fires every timer that is due meanwhile, in order, each with all that follows from it at the same instant. */
  advance(ms: number): Promise<void>;
}

/** `Date.now()` when it begins; any fixed moment does. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/** Turns of the real event loop in which what a timer set off comes to rest: promises, and immediates that they start. */
const TURNS_AT_AN_INSTANT = 3;

class Timer {
  readonly atMs: number;
  /** Timers of one instant fire in the order in which they were set. */
  readonly order: number;
  readonly fire: () => void;
  isCleared = false;

  constructor(atMs: number, order: number, fire: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.fire = fire;
  }

  /** As Node's own, for what sets timers beside the simulation: an HTTP client on a kept connection does. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/**
 * Replaces `setTimeout` (also that of `node:timers/promises`), `performance.now` and `Date.now` for the whole process until it is
 * disposed of. `setImmediate` stays: it belongs to the instant at which it is called.
 */
export function startVirtualTime(): VirtualTime {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    sleep: timersPromises.setTimeout,
    performanceNow: performance.now,
    dateNow: Date.now,
  };
  const timers = createHeap();
  let nowMs = 0;
  let count = 0;

  const add = (fire: () => void, ms = 0): Timer => {
    const timer = new Timer(nowMs + Math.max(1, ms), count++, fire);
    timers.push(timer);
    return timer;
  };
  const clear = (timer: unknown): void => {
    if (timer !== undefined && timer !== null) (timer as Timer).isCleared = true;
  };
  const sleep = (ms?: number, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      const abort = () => {
        clear(timer);
        reject(signal?.reason);
      };
      const timer = add(() => {
        signal?.removeEventListener('abort', abort);
        resolve(value);
      }, ms);
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    });

  globalThis.setTimeout = ((fire: (...values: unknown[]) => void, ms?: number, ...values: unknown[]) =>
    add(() => fire(...values), ms)) as unknown as typeof setTimeout;
  globalThis.clearTimeout = clear as typeof clearTimeout;
  timersPromises.setTimeout = sleep as typeof timersPromises.setTimeout;
  syncBuiltinESMExports();
  performance.now = () => nowMs;
  Date.now = () => EPOCH_MS + nowMs;

  const comeToRest = async () => {
    for (let turn = 0; turn < TURNS_AT_AN_INSTANT; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  return {
    get nowMs() {
      return nowMs;
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await comeToRest();
      for (let first = timers.first(); first !== undefined && first.atMs <= untilMs; first = timers.first()) {
        nowMs = first.atMs;
        for (let due: Timer | undefined = first; due?.atMs === nowMs; due = timers.first()) {
          timers.shift();
          if (!due.isCleared) due.fire();
        }
        await comeToRest();
      }
      nowMs = untilMs;
    },
    [Symbol.dispose]() {
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
      timersPromises.setTimeout = real.sleep;
      syncBuiltinESMExports();
      performance.now = real.performanceNow;
      Date.now = real.dateNow;
    },
  };
}

/** A binary heap: a hundred thousand endpoints may have a timer each. */
function createHeap() {
  const items: Timer[] = [];
  const isBefore = (a: Timer, b: Timer) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  const at = (index: number): Timer => items[index] as Timer;
  const swap = (a: number, b: number) => {
    [items[a], items[b]] = [at(b), at(a)];
  };
  const sink = (from: number) => {
    let index = from;
    for (;;) {
      const left = 2 * index + 1;
      let least = index;
      for (const child of [left, left + 1]) {
        if (child < items.length && isBefore(at(child), at(least))) least = child;
      }
      if (least === index) return;
      swap(index, least);
      index = least;
    }
  };
  return {
    first: (): Timer | undefined => items[0],
    push(timer: Timer): void {
      items.push(timer);
      for (let index = items.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1;
        if (!isBefore(at(index), at(parent))) return;
        swap(index, parent);
        index = parent;
      }
    },
    shift(): void {
      const last = items.pop();
      if (last === undefined || items.length === 0) return;
      items[0] = last;
      sink(0);
    },
  };
}
