import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { ToldLoss } from './lost-changes.ts';

/** A change that was read and is not recorded yet. */
export interface ReadChange {
  readonly offset: string;
  readonly value: Buffer;
  /** `source_id` of its account; undefined when it concerns all accounts of the partition. */
  readonly account: string | undefined;
  /** Its place in capture's count; undefined when it was recorded before, or is not counted. */
  readonly link: ChainLink | undefined;
  /** Records of the partition are missing before this one. */
  readonly isAfterGap: boolean;
  /** Set on a placeholder that stands for lost records at the partition's end. Later records come after it. */
  readonly lost?: ToldLoss;
  /** The trace context of its transaction, when that is traced. */
  readonly traceparent?: string | undefined;
}

/** The point up to which everything is recorded. */
export interface Recorded {
  readonly offset: string;
  /** The last link among the recorded changes. */
  readonly link: ChainLink | undefined;
}

/** Changes of one account that are taken before the next account's turn. */
const ACCOUNT_RUN = 100;

/** Memory per change in addition to its value. */
const CHANGE_BYTES = 200;

/**
 * The changes of one partition that are read and not recorded yet. Order matters only within an account, so accounts
 * take turns: a large transaction of one account does not delay the changes that others have after it. Nothing
 * overtakes a change that concerns all accounts.
 */
export interface Backlog {
  /**
   * Adds a change after all others.
   *
   * @param isInOrder whether nothing may overtake it, whatever its account
   * @returns the bytes it takes
   */
  add(change: ReadChange, isInOrder?: boolean): number;
  /** Notes that nothing else up to this offset has to be recorded. */
  pass(offset: string): void;
  /**
   * At most `limit` changes, in the order to record them in; each account's are in order. Record them before taking
   * more.
   */
  take(limit: number): ReadChange[];
  /**
   * Notes that these are recorded.
   *
   * @returns the new point up to which everything is recorded, or undefined if it is unchanged
   */
  finish(changes: readonly ReadChange[]): Recorded | undefined;
  /** Memory of all changes that are not recorded. */
  readonly bytes: number;
}

interface Place {
  readonly offset: string;
  readonly link: ChainLink | undefined;
  isDone: boolean;
}

/** Appends at the end and takes from the front in constant time. */
interface Queue {
  items: ReadChange[];
  next: number;
}

type Accounts = Map<string, Queue>;

export function createBacklog(): Backlog {
  /** Groups of accounts, separated by the changes that concern all. The account whose turn it is comes first. */
  let stretches: (Accounts | ReadChange)[] = [];
  const places: Place[] = [];
  const placeOf = new Map<ReadChange, Place>();
  let settled = 0;
  let bytes = 0;

  const lastStretch = (): Accounts => {
    const last = stretches.at(-1);
    if (last instanceof Map) return last;
    const added: Accounts = new Map();
    stretches.push(added);
    return added;
  };

  const takeRun = (accounts: Accounts, limit: number): ReadChange[] => {
    const [entry] = accounts;
    if (entry === undefined) return [];
    const [account, queue] = entry;
    const run = queue.items.slice(queue.next, queue.next + limit);
    queue.next += run.length;
    accounts.delete(account);
    if (queue.next < queue.items.length) accounts.set(account, queue);
    return run;
  };

  const sizeOf = ({ value }: ReadChange) => value.length + CHANGE_BYTES;

  /** Moves past everything recorded, up to the first change that is not. */
  const settle = (): Recorded | undefined => {
    let last: Place | undefined;
    let link: ChainLink | undefined;
    for (let place = places[settled]; place?.isDone === true; place = places[settled]) {
      settled += 1;
      last = place;
      link = place.link ?? link;
    }
    if (settled * 2 > places.length) {
      places.splice(0, settled);
      settled = 0;
    }
    return last && { offset: last.offset, link };
  };

  return {
    add(change, isInOrder = false) {
      const place = { offset: change.offset, link: change.link, isDone: false };
      places.push(place);
      placeOf.set(change, place);
      bytes += sizeOf(change);
      if (change.account === undefined || isInOrder) stretches.push(change);
      else {
        const accounts = lastStretch();
        const queue = accounts.get(change.account);
        if (queue === undefined) accounts.set(change.account, { items: [change], next: 0 });
        else queue.items.push(change);
      }
      return sizeOf(change);
    },
    pass(offset) {
      places.push({ offset, link: undefined, isDone: true });
    },
    take(limit) {
      const [first] = stretches;
      if (first === undefined) return [];
      const taken: ReadChange[] = [];
      if (!(first instanceof Map)) {
        for (const stretch of stretches) {
          if (stretch instanceof Map || taken.length === limit) break;
          taken.push(stretch);
        }
        stretches = stretches.slice(taken.length);
        return taken;
      }
      while (first.size > 0 && taken.length < limit) {
        taken.push(...takeRun(first, Math.min(ACCOUNT_RUN, limit - taken.length)));
      }
      if (first.size === 0) stretches = stretches.slice(1);
      return taken;
    },
    finish(changes) {
      for (const change of changes) {
        const place = placeOf.get(change);
        if (place === undefined) continue;
        place.isDone = true;
        placeOf.delete(change);
        bytes -= sizeOf(change);
      }
      return settle();
    },
    get bytes() {
      return bytes;
    },
  };
}
