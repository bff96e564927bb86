import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { ToldLoss } from './lost-changes.ts';

/** A change as it was read, until it is recorded. */
export interface ReadChange {
  readonly offset: string;
  readonly value: Buffer;
  /** `source_id` of its account; undefined when it concerns every account of the partition. */
  readonly account: string | undefined;
  /** Its place in capture's count; undefined when it was recorded before, or not counted. */
  readonly link: ChainLink | undefined;
  /** Records of the partition are missing before it. */
  readonly isAfterGap: boolean;
  /** It was not read: it stands for the records that were the last of the partition and are lost, and what comes next is behind it. */
  readonly lost?: ToldLoss;
  /** Of its transaction, when that is traced. */
  readonly traceparent?: string | undefined;
}

/** Up to here everything that was read is recorded. */
export interface Recorded {
  readonly offset: string;
  /** The last of those that have one. */
  readonly link: ChainLink | undefined;
}

/** Changes of one account that are taken before it is the next account's turn. */
const ACCOUNT_RUN = 100;

/** What a change takes beside its value. */
const CHANGE_BYTES = 200;

/**
 * Changes of one partition that are read and not recorded yet. Only the changes of one account have to be recorded in their order, so
 * accounts take turns: however many of one wait, those of another that were read after them are recorded first. What
 * concerns all accounts is passed by nothing.
 */
export interface Backlog {
  /**
   * Behind all that were added before.
   *
   * @param isInOrder whether it is passed by nothing either, whatever its account
   * @returns the bytes it takes
   */
  add(change: ReadChange, isInOrder?: boolean): number;
  /** Offsets up to here hold nothing that is to be recorded, but what was added. */
  pass(offset: string): void;
  /** At most `limit` changes, those of each account in their order, to be recorded in this order before more are taken. */
  take(limit: number): ReadChange[];
  /** These are recorded. @returns how far everything is, when that is further than before */
  finish(changes: readonly ReadChange[]): Recorded | undefined;
  /** Of all that is not recorded. */
  readonly bytes: number;
}

interface Place {
  readonly offset: string;
  readonly link: ChainLink | undefined;
  isDone: boolean;
}

/** Appended at the end and taken from the front, without moving what is between. */
interface Queue {
  items: ReadChange[];
  next: number;
}

type Accounts = Map<string, Queue>;

export function createBacklog(): Backlog {
  /** Accounts between two changes that concern all; the account whose turn it is comes first. */
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

  /** Everything up to the first that is not recorded. */
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
