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
 * Wake-ups come by notification. Each endpoint also looks into the log by itself after `everyMs`, which bounds how long a lost
 * notification can matter; but all together no more than `perSecond` times, one after the other. So with more than 1,500
 * endpoints each looks less often, and what idle ones cost has a bound. While nobody is told of events they look sooner.
 */
const LOOKS = {
  listening: { everyMs: 15_000, perSecond: 100 },
  notListening: { everyMs: 1_000, perSecond: 1_000 },
};

/** Endpoints taken in one statement, so that several dispatchers that start together share from the beginning. */
const CLAIM_LIMIT = 100;

/** Endpoints given back at once, so that others can claim them as fast. */
const RELEASE_LIMIT = 1_000;

export interface LeaseStore {
  readonly fairShare: () => Promise<number>;
  readonly claim: (limit: number) => Promise<Endpoint[]>;
  readonly changed: () => Promise<Endpoint[]>;
  /** Of endpoints by ID, the version of the settings by which they work now. */
  readonly noteApplied: (versions: ReadonlyMap<string, number>) => Promise<void>;
  readonly heldIds: () => Promise<ReadonlySet<string>>;
  readonly release: (ids: readonly string[]) => Promise<void>;
  readonly retries: (ids: readonly string[]) => Promise<ReadonlyMap<string, readonly Delivery[]>>;
}

export interface EndpointLeases extends Worker {
  /** These were just recorded by this process. */
  offer(run: EventRun): void;
  /** Events of these accounts were recorded; undefined stands for any account. */
  wake(accountIds: readonly string[] | undefined): void;
  /** This endpoint was made, changed or deleted; undefined stands for any. */
  look(endpointId?: string): void;
  /** Whether requests may be started: the lease is valid, and what others took before it became so is given up. */
  maySend(): boolean;
  /** A runner found its endpoint held by somebody else. */
  forget(endpointId: string): void;
  /** Endpoints that this process delivers to. */
  heldCount(): number;
}

/** Whether events go out in the same queues and batches by both. */
function isSameCourse(a: EndpointSettings, b: EndpointSettings): boolean {
  const [one, other] = [a.batching, b.batching];
  const isSameBatching = one?.maxEvents === other?.maxEvents && one?.maxWaitMs === other?.maxWaitMs;
  return isSameBatching && a.order === b.order;
}

/**
 * Holds a fair share of the endpoints and runs each. The control store says who holds what; this takes what nobody
 * alive holds, gives back what is too much, applies changed settings, and lets go at the end without breaking off.
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
  /** Endpoints that finish what is under way before they are given back. */
  const leaving = new Map<string, Promise<void>>();
  const notifier = createNotifier();
  const ready = Promise.withResolvers<void>();
  const release = createGather(async (ids: readonly string[]) => {
    await store.release(ids);
    return ids.map(() => undefined);
  });
  /** What the control store says that we hold may not be what we run. */
  let mustReconcile = false;
  /** How often the lease has become valid: each time others may have taken endpoints of ours before. */
  let lapses = 0;
  /** Up to this lapse, endpoints that others took are given up. */
  let settledLapses = 0;
  /** While the lease had lapsed, endpoints that we still hold were kept from sending. */
  let mustWakeAll = false;
  /** Endpoints that were told of while a claim was under way: they may be among those that it brings. */
  let toldWhileClaiming: Set<string> | undefined;
  /** Those that look by themselves next, and how far their looks have come. */
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
      // Before anything is read, so that no later event of a record overtakes a retry.
      runner.addRetries(retries.get(id) ?? []);
      runner.wake();
    }
  };

  /** Finishes what is under way, then gives the endpoint back. */
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
        // The cursor was moved under it: what it still knows is about another course.
        runner.abandon();
        remove(runner);
        if (settings.isActive) moved.push(endpoint);
        else mustReconcile = true;
      } else if (isSameCourse(settings, runner.settings) && !runner.isGivenUp) {
        runner.apply(endpoint);
        if (settings.isActive) kept.push(runner);
        else letGo(runner);
      } else {
        // What is under way is finished as it was begun; then it is claimed anew, by whomever.
        letGo(runner);
      }
      applied.set(settings.id, settings.settingsVersion);
    }
    // A redelivery is a retry that another process stored. Before the note, so that a read that fails is made again.
    const reading = store.retries(kept.map(({ settings }) => settings.id));
    const refresh = (runner: EndpointRunner) =>
      runner.refreshRetries(reading.then((retries) => retries.get(runner.settings.id) ?? []));
    await Promise.all([reading, ...kept.map(refresh)]);
    if (applied.size > 0) await store.noteApplied(applied);
    await startAll(moved);
  };

  /** Stops runners of endpoints that were deleted or taken, and gives back those that nobody here runs. */
  const reconcile = async (): Promise<void> => {
    // Ahead of the look: what comes up meanwhile may not be in it.
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
      // One that was deleted meanwhile is to be given up.
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
    // More may be free; the next round need not wait.
    if (claimed === CLAIM_LIMIT || mustReconcile) notifier.notify();
  };

  const wakeAll = () => {
    for (const runner of runners.values()) runner.wake();
  };

  /** Lets the next few look by themselves, as many as are due by now. */
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
          // Without it nothing may be claimed: others would not see that we live.
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
      for (const runner of [...runners.values()]) letGo(runner);
      await Promise.all(leaving.values());
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
