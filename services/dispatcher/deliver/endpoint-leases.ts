import { createGather } from '../../../shared/runtime/gather.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { Endpoint, EndpointSettings } from '../endpoints/endpoint.ts';
import type { Lease } from '../endpoints/lease.ts';
import type { Delivery } from '../store/progress.ts';
import type { EventRun } from '../store/read-events.ts';
import type { EndpointRunner } from './endpoint-runner.ts';

const ROUND_MS = 1_000;

/**
 * Rates of polling the log. Endpoints are woken by notifications; each also polls every `everyMs`, which bounds the
 * delay after a lost notification. All endpoints together poll at most `perSecond` times, one after another: beyond
 * 1,500 endpoints each polls less often, so idle endpoints have a bounded cost. While notifications are unavailable,
 * endpoints poll more often.
 */
const LOOKS = {
  listening: { everyMs: 15_000, perSecond: 100 },
  notListening: { everyMs: 1_000, perSecond: 1_000 },
};

/** Endpoints claimed by one statement, so that dispatchers that start together share them from the beginning. */
const CLAIM_LIMIT = 100;

/** Endpoints released at once. As high as this so that others can claim them quickly. */
const RELEASE_LIMIT = 1_000;

export interface LeaseStore {
  readonly fairShare: () => Promise<number>;
  readonly claim: (limit: number) => Promise<Endpoint[]>;
  readonly changed: () => Promise<Endpoint[]>;
  /** Stores, for endpoints by ID, the version of the settings now in use. */
  readonly noteApplied: (versions: ReadonlyMap<string, number>) => Promise<void>;
  readonly heldIds: () => Promise<ReadonlySet<string>>;
  /** Notifies the other dispatchers. */
  readonly release: (ids: readonly string[]) => Promise<void>;
  /** Lets the other dispatchers share all endpoints, and notifies them. */
  readonly leave: () => Promise<void>;
  readonly retries: (ids: readonly string[]) => Promise<ReadonlyMap<string, readonly Delivery[]>>;
}

export interface EndpointLeases extends Worker {
  /** Hands over events that this process has just recorded. */
  offer(run: EventRun): void;
  /** Wakes endpoints of accounts with new events; undefined means all accounts. */
  wake(accountIds: readonly string[] | undefined): void;
  /** Checks an endpoint that was created, changed or deleted, or endpoints that another dispatcher released; undefined means all. */
  look(endpointId?: string): void;
  /** Whether requests may start: the lease is valid, and endpoints that others took while it was not are given up. */
  maySend(): boolean;
  /** Drops a runner that found its endpoint claimed by another dispatcher. */
  forget(endpointId: string): void;
  /** Number of endpoints that this process delivers to. */
  heldCount(): number;
}

/** Whether both settings put events into the same queues and batches. */
function isSameCourse(a: EndpointSettings, b: EndpointSettings): boolean {
  const [one, other] = [a.batching, b.batching];
  const isSameBatching = one?.maxEvents === other?.maxEvents && one?.maxWaitMs === other?.maxWaitMs;
  return isSameBatching && a.order === b.order;
}

/**
 * Holds a fair share of the endpoints and runs each of them. The control store records who holds which endpoint. This
 * claims endpoints without a live holder, releases those above the fair share, applies changed settings, and on
 * shutdown lets requests under way finish before it releases.
 */
export function createEndpointLeases(
  lease: Lease,
  store: LeaseStore,
  createRunner: (endpoint: Endpoint) => EndpointRunner,
  isListening: () => boolean,
  log: Log,
): EndpointLeases {
  const runners = new Map<string, EndpointRunner>();
  const byAccount = new Map<string, Set<EndpointRunner>>();
  /** Endpoints that finish their requests under way before they are released. */
  const leaving = new Map<string, Promise<void>>();
  const notifier = createNotifier();
  const ready = Promise.withResolvers<void>();
  const release = createGather(async (ids: readonly string[]) => {
    await store.release(ids);
    return ids.map(() => undefined);
  });
  /** The endpoints that the control store assigns to us may differ from those that run here. */
  let mustReconcile = false;
  /** How often the lease has become valid. Before each time others may have claimed endpoints of ours. */
  let lapses = 0;
  /** The last lapse after which the endpoints that others took were given up. */
  let settledLapses = 0;
  /** Endpoints that we still hold could not send while the lease was expired, and must be woken. */
  let mustWakeAll = false;
  /** Endpoints with notifications that came during a claim, which may have read older settings. */
  let toldWhileClaiming: Set<string> | undefined;
  /** The endpoints that poll next, and how far this round of polls has come. */
  let looking = runners.values();
  let lookedToMs = performance.now();

  const remove = (runner: EndpointRunner) => {
    const { id, accountId } = runner.settings;
    if (runners.get(id) === runner) runners.delete(id);
    const siblings = byAccount.get(accountId);
    siblings?.delete(runner);
    if (siblings?.size === 0) byAccount.delete(accountId);
  };

  const startAll = async (endpoints: readonly Endpoint[]): Promise<void> => {
    if (endpoints.length === 0) return;
    const retries = await store.retries(endpoints.map(({ settings }) => settings.id));
    for (const endpoint of endpoints) {
      const { id, accountId } = endpoint.settings;
      const runner = createRunner(endpoint);
      runners.set(id, runner);
      byAccount.set(accountId, (byAccount.get(accountId) ?? new Set()).add(runner));
      // Retries come before anything is read, so that no later event of a record overtakes them.
      runner.addRetries(retries.get(id) ?? []);
      runner.wake();
    }
  };

  /** Waits for the requests under way, then releases the endpoint. */
  const letGo = (runner: EndpointRunner): void => {
    remove(runner);
    const { id } = runner.settings;
    const left = runner
      .drain()
      .then(() => release(id))
      .catch((error: unknown) => {
        mustReconcile = true;
        log.warn('endpoint.not_released', { endpointId: id, error });
      })
      .finally(() => {
        leaving.delete(id);
        notifier.notify();
      });
    leaving.set(id, left);
  };

  const applyChanges = async (): Promise<void> => {
    const changed = await store.changed();
    if (changed.length === 0) return;
    const moved: Endpoint[] = [];
    const kept: EndpointRunner[] = [];
    const applied = new Map<string, number>();
    for (const endpoint of changed) {
      const { settings } = endpoint;
      const runner = runners.get(settings.id);
      if (runner === undefined) continue;
      if (settings.cursorEpoch !== runner.settings.cursorEpoch) {
        // The cursor was moved from outside, so everything this runner has read is void.
        runner.abandon();
        remove(runner);
        if (settings.isActive) moved.push(endpoint);
        else mustReconcile = true;
      } else if (isSameCourse(settings, runner.settings) && !runner.isGivenUp) {
        runner.apply(endpoint);
        if (settings.isActive) kept.push(runner);
        else letGo(runner);
      } else {
        // Requests under way finish under the old settings. Then any dispatcher claims the endpoint again.
        letGo(runner);
      }
      applied.set(settings.id, settings.settingsVersion);
    }
    // A replayed event is a retry that another process stored. Retries are read before the settings count as applied,
    // so that a failed read is repeated.
    const reading = store.retries(kept.map(({ settings }) => settings.id));
    const refresh = (runner: EndpointRunner) =>
      runner.refreshRetries(reading.then((retries) => retries.get(runner.settings.id) ?? []));
    await Promise.all([reading, ...kept.map(refresh)]);
    if (applied.size > 0) await store.noteApplied(applied);
    await startAll(moved);
  };

  /** Stops runners whose endpoints were deleted or claimed by others, and releases endpoints that nothing here runs. */
  const reconcile = async (): Promise<void> => {
    // Cleared before the query: a change during the query may not be in its result.
    mustReconcile = false;
    const lapsesBefore = lapses;
    const held = await store.heldIds();
    for (const [id, runner] of runners) {
      if (held.has(id)) continue;
      runner.abandon();
      remove(runner);
      log.info('endpoint.lost', { endpointId: id });
    }
    const orphans = [...held].filter((id) => !runners.has(id) && !leaving.has(id));
    settledLapses = lapsesBefore;
    if (orphans.length > 0) await store.release(orphans);
  };

  const claim = async (limit: number): Promise<number> => {
    const told = new Set<string>();
    toldWhileClaiming = told;
    try {
      const claimed = await store.claim(limit);
      await startAll(claimed);
      // An endpoint deleted during the claim must be given up.
      if (claimed.some(({ settings }) => told.has(settings.id))) mustReconcile = true;
      return claimed.length;
    } finally {
      toldWhileClaiming = undefined;
    }
  };

  const balance = async (): Promise<void> => {
    const share = await store.fairShare();
    const surplus = Math.min(runners.size - share, RELEASE_LIMIT - leaving.size);
    if (surplus > 0) for (const runner of [...runners.values()].slice(-surplus)) letGo(runner);
    const missing = share - runners.size;
    if (missing <= 0) return;
    const claimed = await claim(Math.min(missing, CLAIM_LIMIT));
    // More endpoints may be free, so the next round starts at once.
    if (claimed === CLAIM_LIMIT || mustReconcile) notifier.notify();
  };

  const wakeAll = () => {
    for (const runner of runners.values()) runner.wake();
  };

  /** Lets as many endpoints poll as are due by now. */
  const wakeNext = () => {
    const nowMs = performance.now();
    const { everyMs, perSecond } = LOOKS[isListening() ? 'listening' : 'notListening'];
    const intervalMs = Math.max(everyMs / runners.size, 1_000 / perSecond);
    if (runners.size === 0) lookedToMs = nowMs;
    for (let left = runners.size; left > 0 && lookedToMs + intervalMs <= nowMs; left -= 1) {
      lookedToMs += intervalMs;
      let next = looking.next();
      if (next.done === true) {
        looking = runners.values();
        next = looking.next();
      }
      next.value?.wake();
    }
  };

  const round = async (): Promise<void> => {
    if (mustReconcile || lapses !== settledLapses) await reconcile();
    await applyChanges();
    await balance();
    if (mustWakeAll && lapses === settledLapses) {
      mustWakeAll = false;
      wakeAll();
    } else wakeNext();
  };

  return {
    name: 'endpoint-leases',
    ready: ready.promise,
    async run(signal) {
      const ended = new AbortController();
      const onLapse = () => {
        lapses += 1;
        mustWakeAll = true;
        notifier.notify();
      };
      const kept = lease.keep(onLapse, ended.signal);
      while (!signal.aborted) {
        try {
          // Without a valid lease nothing may be claimed: the others would take this process for dead.
          if (lease.isValid()) {
            await round();
            ready.resolve();
          }
        } catch (error) {
          mustReconcile = true;
          log.warn('endpoints.not_looked_at', { held: runners.size, error });
        }
        await notifier.wait(ROUND_MS, signal);
      }
      // Otherwise no other dispatcher would take released endpoints until the last request has ended.
      const left = store.leave().catch((error: unknown) => log.warn('share.not_released', { error }));
      for (const runner of [...runners.values()]) letGo(runner);
      await Promise.all([left, ...leaving.values()]);
      ended.abort();
      await kept;
      await lease.end().catch((error: unknown) => log.warn('leases.not_ended', { error }));
    },
    offer(run) {
      for (const runner of byAccount.get(run.accountId) ?? []) runner.offer(run);
    },
    wake(accountIds) {
      if (accountIds === undefined) {
        wakeAll();
        return;
      }
      for (const id of accountIds) for (const runner of byAccount.get(id) ?? []) runner.wake();
    },
    look(endpointId) {
      if (endpointId === undefined || runners.has(endpointId)) mustReconcile = true;
      else toldWhileClaiming?.add(endpointId);
      notifier.notify();
    },
    maySend: () => lease.isValid() && lapses === settledLapses,
    heldCount: () => runners.size,
    forget(endpointId) {
      const runner = runners.get(endpointId);
      if (runner !== undefined) remove(runner);
      mustReconcile = true;
      notifier.notify();
    },
  };
}
