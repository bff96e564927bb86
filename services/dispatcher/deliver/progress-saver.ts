import type { ProgressBatch } from '../../../shared/control/webhooks/save-progress.ts';

/** An endpoint with something to save. */
export interface Savable {
  readonly id: string;
  readonly accountId: string;
  /** What is new since the last call; undefined when there is nothing. */
  collect(): ProgressBatch | undefined;
  /** What was collected last is saved, and stays so through any crash; `isHeld` is false when it was refused instead. */
  onSaved(isHeld: boolean): void;
}

/** Endpoints saved by one statement. */
const MAX_ENDPOINTS_AT_ONCE = 200;

/**
 * Rows and positions that an account may bring into a save with others. More of them, as after a hundred requests that got no
 * answer, take so long that the others would feel it.
 */
const MAX_SHARED_WEIGHT = 100;

/**
 * Between the starts of two saves of many accounts that nothing waits for. A save is a commit, and wakes up two processes,
 * whatever it holds. Behind a pause it starts at once.
 */
const SAVE_INTERVAL_MS = 20;

/** Accounts that are saved by themselves at once. Beside them there is always one save of all others. */
const MAX_ALONE_AT_ONCE = 3;

/**
 * Group commit: while a save is under way, what becomes ready meanwhile gathers for the next, so that the number of
 * commits does not grow with the number of deliveries. An account with much to save is saved by itself, so that no other
 * account's places in its window wait for that. Of one account there is never more than one save under way.
 */
export interface ProgressSaver {
  /** @param isWaitedFor something goes on only once it is saved */
  mark(endpoint: Savable, isWaitedFor: boolean): void;
}

interface Collected {
  readonly endpoint: Savable;
  readonly batch: ProgressBatch;
}

/** `save` repeats by itself until it succeeds, and returns the IDs of the endpoints that were saved. */
export function createProgressSaver(save: (batch: ProgressBatch) => Promise<Set<string>>): ProgressSaver {
  const marked = new Set<Savable>();
  /** Accounts with something collected that is not saved yet. */
  const busy = new Set<string>();
  /** Accounts that wait to be saved by themselves. */
  const heavy: (readonly Collected[])[] = [];
  let aloneCount = 0;
  let isSharedUnderWay = false;
  /** When the last save of many accounts started, by a monotonic clock. */
  let startedAtMs = Number.NEGATIVE_INFINITY;
  /** Of one that is marked. */
  let isWaitedFor = false;
  let isScheduled = false;
  let timer: NodeJS.Timeout | undefined;

  const saveNow = async (collected: readonly Collected[]): Promise<void> => {
    const held = await save({
      endpoints: collected.flatMap(({ batch }) => batch.endpoints),
      retries: collected.flatMap(({ batch }) => batch.retries),
      endedRetries: collected.flatMap(({ batch }) => batch.endedRetries),
    });
    for (const { endpoint } of collected) busy.delete(endpoint.accountId);
    for (const { endpoint } of collected) endpoint.onSaved(held.has(endpoint.id));
  };

  /** @returns what the next save of many accounts takes along; those with much to save are set aside */
  const collectShared = (): Collected[] => {
    const free = [...marked].filter(({ accountId }) => !busy.has(accountId)).slice(0, MAX_ENDPOINTS_AT_ONCE);
    const shared: Collected[] = [];
    for (const [accountId, endpoints] of Map.groupBy(free, (endpoint) => endpoint.accountId)) {
      const collected: Collected[] = [];
      for (const endpoint of endpoints) {
        marked.delete(endpoint);
        const batch = endpoint.collect();
        if (batch !== undefined) collected.push({ endpoint, batch });
      }
      if (collected.length === 0) continue;
      busy.add(accountId);
      if (weightOf(collected) > MAX_SHARED_WEIGHT) heavy.push(collected);
      else shared.push(...collected);
    }
    return shared;
  };

  const saveShared = () => {
    clearTimeout(timer);
    timer = undefined;
    isScheduled = false;
    const shared = collectShared();
    // Of an account that is being saved the next save is for later.
    isWaitedFor &&= marked.size > 0;
    if (shared.length > 0) {
      isSharedUnderWay = true;
      startedAtMs = performance.now();
      void saveNow(shared).finally(() => {
        isSharedUnderWay = false;
        schedule();
      });
    }
    saveAlone();
  };

  const saveAlone = () => {
    while (aloneCount < MAX_ALONE_AT_ONCE) {
      const alone = heavy.shift();
      if (alone === undefined) break;
      aloneCount += 1;
      void saveNow(alone).finally(() => {
        aloneCount -= 1;
        schedule();
        saveAlone();
      });
    }
  };

  const schedule = () => {
    if (isScheduled || isSharedUnderWay || marked.size === 0) return;
    const waitMs = isWaitedFor ? 0 : startedAtMs + SAVE_INTERVAL_MS - performance.now();
    if (waitMs > 0) {
      timer ??= setTimeout(saveShared, waitMs);
      return;
    }
    isScheduled = true;
    // What else finishes in this turn of the event loop goes along.
    setImmediate(saveShared);
  };

  return {
    mark(endpoint, waitsForIt) {
      marked.add(endpoint);
      isWaitedFor ||= waitsForIt;
      schedule();
    },
  };
}

function weightOf(collected: readonly Collected[]): number {
  let weight = 0;
  for (const { batch } of collected) {
    weight += batch.retries.length + batch.endedRetries.length;
    for (const { done } of batch.endpoints) weight += done.length;
  }
  return weight;
}
