import { eventsOfBody, type RawEvent } from './apply-event.ts';
import type { Tandem } from './client.ts';
import { isPassing, ReplicaError, SignatureError } from './errors.ts';
import { type CheckOptions, checkReplica, type ReplicaCheck } from './replica-check.ts';
import { applyEvents } from './replica-feed.ts';
import { lostHold } from './replica-hold.ts';
import { type Change, type LoadOptions, type LoadProgress, runLoad } from './replica-load.ts';
import { isTooOld, PAGE_EVENTS, readEvents } from './replica-pull.ts';
import { beginLoad, isHeld, isHeldBy, type ReplicaState, readState } from './replica-state.ts';
import type { ReplicaStore, StoreTransaction } from './replica-store.ts';
import { type ReplicaWebhook, subscribe } from './replica-subscribe.ts';
import { retryDelayMs, sleep } from './retry.ts';
import { type RequestHeaders, verifyWebhook } from './verify.ts';

export interface ReplicaOptions {
  readonly client: Tandem;
  readonly store: ReplicaStore;
  /** The resources to keep. Another list begins a new load. */
  readonly resources: readonly string[];
  /** Days for which deleted records are remembered, longer than events can be delivered again. Default: 45. */
  readonly keepDeletedDays?: number | undefined;
}

/** What `follow` and `sync` report. */
export interface FollowOptions extends LoadOptions {
  /** Called after each transaction with the number of events that it applied. */
  readonly onEvents?: ((count: number) => void) | undefined;
  /** A `feed.reset`: the replica begins again with a new export. */
  readonly onReset?: ((reason: string) => void) | undefined;
  /** A failure after which `follow` tries again. */
  readonly onError?: ((error: Error) => void) | undefined;
  /** Time between two requests once everything is read. Default: one second. */
  readonly pollMs?: number | undefined;
  /** Follow by webhooks, which your server hands to `receive`. Absent: by pulling. */
  readonly webhook?: ReplicaWebhook | undefined;
}

interface ApplyOptions {
  readonly cursor?: string;
  /** Only if readers see this load. */
  readonly load?: number;
  /** Only for the check that holds all others. */
  readonly holdId?: string;
  readonly onEvents?: FollowOptions['onEvents'];
}

export interface ReplicaStatus {
  /** Whether the records can be read: a load has been completed. */
  readonly isLoaded: boolean;
  readonly exportId: string | undefined;
  /** Why a load is running; undefined while none is. */
  readonly loading: string | undefined;
  /** Resources whose changes the source cannot send at present, with the reason. */
  readonly stalled: Readonly<Record<string, string>>;
  readonly webhookId: string | undefined;
}

const DEFAULT_POLL_MS = 1_000;
const DEFAULT_KEEP_DELETED_DAYS = 45;
const DROP_ROWS = 5_000;
/** How soon events go on after a check. */
const HELD_POLL_MS = 200;
/** Time between two checks of the endpoint. */
const CHECK_MS = 30_000;

/**
 * The account's records in a store of yours: the files of one export, then every change from exactly where the export
 * ends. It may be killed at any moment, because what it knows is stored in the transactions that change the records.
 */
export class Replica {
  readonly #client: Tandem;
  readonly #store: ReplicaStore;
  readonly #resources: readonly string[];
  readonly #keepDeletedDays: number;
  /** Wakes `follow` when a webhook has brought a reset. */
  readonly #woken = new Set<() => void>();
  /** Records of other loads may be left: by a load of this replica, or by a process that was killed. */
  #mayHaveOldLoads = true;

  constructor({ client, store, resources, keepDeletedDays = DEFAULT_KEEP_DELETED_DAYS }: ReplicaOptions) {
    if (resources.length === 0) throw new ReplicaError('A replica needs the name of a resource.');
    this.#client = client;
    this.#store = store;
    this.#resources = [...new Set(resources)].sort();
    this.#keepDeletedDays = keepDeletedDays;
  }

  async status(): Promise<ReplicaStatus> {
    const state = await this.#change((_, now) => now);
    return {
      isLoaded: (state?.shown ?? 0) > 0,
      exportId: state?.exportId,
      loading: state?.loading?.reason,
      stalled: state?.stalled ?? {},
      webhookId: state?.webhook?.id,
    };
  }

  /** Loads an export, if none is loaded, a reset came, or the resources are others. Readers see the old records until it is done. */
  async load(options: LoadOptions = {}): Promise<void> {
    const state = await this.#change((_, now) => this.#withLoad(now));
    if (state?.loading !== undefined) {
      this.#mayHaveOldLoads = true;
      await runLoad(this.#client, (work) => this.#change(work), state, options);
    }
    if (this.#mayHaveOldLoads) await this.#dropOldLoads(options.signal);
  }

  /** Takes a new export, whatever is loaded. Readers see the old records until it is done. */
  async reload(options: LoadOptions = {}): Promise<void> {
    await this.#change((_, now) => beginLoad(now, this.#resources, 'requested'));
    await this.load(options);
  }

  /** Loads if it must, and pulls the feed up to now. */
  async sync(options: FollowOptions = {}): Promise<void> {
    do await this.load(options);
    while (!(await this.#pullToEnd(options)));
  }

  /**
   * Compares the replica with the source: row counts and digests at one position of the feed, and the records that
   * differ. The replica has to be loaded. No event is applied, in any process, until the position is known, which takes up to
   * 120 s, and every record is digested; `receive` returns 503 meanwhile. If records differ, that happens once more for each
   * resource that has some.
   *
   * @throws ReplicaError when it cannot be compared; JobError, ApiError, ConnectionError
   */
  verify(options: CheckOptions = {}): Promise<ReplicaCheck> {
    const change: Change = (work) => this.#change(work);
    const apply = async (events: readonly RawEvent[], cursor: string, holdId: string) => {
      const { isIgnored, reset } = await this.#apply(events, { cursor, holdId });
      if (reset !== undefined) throw new ReplicaError(`The replica needs a new export first: ${reset}.`);
      if (isIgnored) throw lostHold();
    };
    return checkReplica({ client: this.#client, change, apply }, options);
  }

  /**
   * Keeps the replica current until the signal ends it: by pulling, or by webhooks. Failures of the connection are
   * tried again.
   */
  async follow(options: FollowOptions): Promise<void> {
    const { signal } = options;
    const isEnded = () => signal?.aborted === true;
    for (let failures = 0; !isEnded(); ) {
      try {
        if (options.webhook === undefined) await this.#followByPull(options);
        else await this.#followByWebhook(options.webhook, options);
        failures = 0;
      } catch (error) {
        if (isEnded()) return;
        if (!isPassing(error)) throw error;
        options.onError?.(error);
        failures += 1;
        await sleep(retryDelayMs(failures, undefined), signal).catch(() => undefined);
      }
    }
  }

  /**
   * Verifies a webhook request and applies its events.
   *
   * @param body the raw bytes
   * @returns the status to respond with. 503: the endpoint is not known yet or a load is or check is running, so that the events come again
   */
  async receive(headers: RequestHeaders, body: string | Uint8Array): Promise<204 | 401 | 503> {
    const state = await this.#change((_, now) => now);
    const { webhook } = state ?? {};
    // What a former endpoint still delivers may be in the new export already.
    if (webhook === undefined || webhook.exportId !== state?.exportId || state.loading !== undefined)
      return 503;
    try {
      const { text } = await verifyWebhook(headers, body, webhook.secrets, { parse: () => ({}) });
      return (await this.#apply(eventsOfBody(text), {})).isIgnored ? 503 : 204;
    } catch (error) {
      if (error instanceof SignatureError) return 401;
      throw error;
    }
  }

  async #subscribe(webhook: ReplicaWebhook, signal: AbortSignal | undefined): Promise<void> {
    const isFollowing = await subscribe(this.#client, (work) => this.#change(work), webhook, signal).catch(
      (error: unknown) => this.#reloadIfTooOld(error),
    );
    if (isFollowing === false) await this.#beginAgain('endpoint_lost');
  }

  async #followByPull(options: FollowOptions): Promise<void> {
    const { signal, pollMs = DEFAULT_POLL_MS } = options;
    for (;;) {
      await this.sync(options);
      await sleep(pollMs, signal);
    }
  }

  async #followByWebhook(webhook: ReplicaWebhook, options: FollowOptions): Promise<void> {
    const { signal } = options;
    for (;;) {
      let wake = () => {};
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      this.#woken.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
      try {
        await this.load(options);
        await this.#subscribe(webhook, signal);
        // Another process may receive, and the endpoint may be deleted or disabled.
        await Promise.race([woken, sleep(CHECK_MS, signal)]);
        signal?.throwIfAborted();
      } finally {
        this.#woken.delete(wake);
        signal?.removeEventListener('abort', wake);
      }
      const state = await this.#change((_, now) => now);
      if (state?.loading !== undefined) options.onReset?.(state.loading.reason);
    }
  }

  /** @returns false when a reset came, so that a load must follow */
  async #pullToEnd(options: FollowOptions): Promise<boolean> {
    for (;;) {
      options.signal?.throwIfAborted();
      const state = await this.#change((_, now) => now);
      if (state === undefined || state.loading !== undefined) return false;
      if (isHeld(state)) {
        await sleep(HELD_POLL_MS, options.signal);
        continue;
      }
      const after = state.cursor === undefined ? { after_export: state.exportId } : { after: state.cursor };
      const page = await readEvents(this.#client, after, PAGE_EVENTS, options.signal).catch(
        (error: unknown) => this.#reloadIfTooOld(error),
      );
      if (page === undefined) return false;
      const { events, hasMore, cursor } = page;
      const { reset } = await this.#apply(events, { cursor, load: state.shown, onEvents: options.onEvents });
      if (reset !== undefined) {
        options.onReset?.(reset);
        return false;
      }
      if (!hasMore) return true;
    }
  }

  /** Applies events in one transaction, with the cursor behind them. */
  async #apply(
    events: readonly RawEvent[],
    { cursor, load, holdId, onEvents }: ApplyOptions,
  ): Promise<{ isIgnored: boolean; reset: string | undefined }> {
    let isIgnored = false;
    let count = 0;
    let reset: string | undefined;
    await this.#change(async (transaction, now) => {
      isIgnored =
        now === undefined ||
        now.loading !== undefined ||
        (load !== undefined && now.shown !== load) ||
        isHeld(now, holdId) ||
        (holdId !== undefined && !isHeldBy(now, holdId));
      if (now === undefined || isIgnored) return undefined;
      const begun = cursor === undefined ? now : { ...now, cursor };
      const applied = await applyEvents(transaction, begun, events, this.#keepDeletedDays);
      count = applied.count;
      reset = applied.state.loading?.reason;
      return applied.state;
    });
    if (count > 0) onEvents?.(count);
    if (reset !== undefined) for (const wake of this.#woken) wake();
    return { isIgnored, reset };
  }

  async #dropOldLoads(signal: AbortSignal | undefined): Promise<void> {
    for (let hasMore = true; hasMore; ) {
      signal?.throwIfAborted();
      await this.#change(async (transaction, state) => {
        const kept = [state?.shown ?? 0, state?.loading?.load ?? 0];
        hasMore = await transaction.dropOthers(kept, DROP_ROWS);
        return undefined;
      });
    }
    this.#mayHaveOldLoads = false;
  }

  #withLoad(state: ReplicaState | undefined): ReplicaState | undefined {
    const isSame = state !== undefined && state.resources.join() === this.#resources.join();
    if (isSame && (state.shown > 0 || state.loading !== undefined)) return state;
    return beginLoad(state, this.#resources, state === undefined ? 'first_load' : 'other_resources');
  }

  /** The feed no longer reaches back to the replica: only a new export helps. @throws any other error again */
  async #reloadIfTooOld(error: unknown): Promise<undefined> {
    if (!isTooOld(error)) throw error;
    await this.#beginAgain('events_expired');
    return undefined;
  }

  async #beginAgain(reason: string): Promise<void> {
    await this.#change((_, now) =>
      now === undefined || now.loading !== undefined ? now : beginLoad(now, now.resources, reason),
    );
    for (const wake of this.#woken) wake();
  }

  async #change(
    work: (
      transaction: StoreTransaction,
      state: ReplicaState | undefined,
    ) => Promise<ReplicaState | undefined> | ReplicaState | undefined,
  ): Promise<ReplicaState | undefined> {
    return this.#store.transaction(async (transaction) => {
      const text = await transaction.readState();
      const state = text === undefined ? undefined : readState(text);
      const next = await work(transaction, state);
      if (next === undefined || next === state) return state;
      await transaction.writeState(JSON.stringify(next));
      return next;
    });
  }
}

export type { LoadProgress };
