import type { ProgressBatch } from '../../../shared/control/webhooks/save-progress.ts';

/** An endpoint whose progress can be saved. */
export interface Savable {
  readonly id: string;
  readonly accountId: string;
  /** What is new since the last call, or undefined. */
  collect(): ProgressBatch | undefined;
  /**
   * Called when what was collected last is durable. `isHeld` is false when the save was refused because another
   * dispatcher holds the endpoint.
   */
  onSaved(isHeld: boolean): void;
}

/** Endpoints per save statement. */
const MAX_ENDPOINTS_AT_ONCE = 200;

/**
 * Weight (rows and positions) up to which an account joins a shared save. Beyond it, such as after a hundred requests
 * that timed out, the save takes so long that other accounts would notice.
 */
const MAX_SHARED_WEIGHT = 100;

/**
 * Shortest time between the starts of two shared saves that nothing waits for. A save is a commit and wakes two
 * processes, whatever it holds. After a pause a save starts at once.
 */
const SAVE_INTERVAL_MS = 20;

/** Limit of concurrent saves of single accounts. One shared save runs beside them. */
const MAX_ALONE_AT_ONCE = 3;

/**
 * Group commit: what becomes ready during a save gathers for the next one, so the number of commits does not grow with
 * the number of deliveries. An account with much to save gets a save of its own, so that it does not delay other
 * accounts. An account never has two saves under way.
 */
export interface ProgressSaver {
  /** @param isWaitedFor deliveries wait until this is saved */
  mark(endpoint: Savable, isWaitedFor: boolean): void;
}

interface Collected {
  readonly endpoint: Savable;
  readonly batch: ProgressBatch;
}

/** `save` retries until it succeeds, and returns the IDs of the endpoints that were saved. */
export function createProgressSaver(save: (batch: ProgressBatch) => Promise<Set<string>>): ProgressSaver {
  const marked = new Set<Savable>();
  /** Accounts with collected progress that is not saved yet. */
  const busy = new Set<string>();
  /** Accounts that wait for a save of their own. */
  const heavy: (readonly Collected[])[] = [];
  let aloneCount = 0;
  let isSharedUnderWay = false;
  /** When the last shared save started, by a monotonic clock. */
  let startedAtMs = Number.NEGATIVE_INFINITY;
  /** Deliveries wait for the save of a marked endpoint. */
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

  /** @returns the progress of the next shared save; accounts with much to save are moved to `heavy` */
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
    // An account that is being saved has to wait for the next save.
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
    // Whatever else finishes in this turn of the event loop joins the save.
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
