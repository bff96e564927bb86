import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { comparePositions } from '../../../shared/domain/position.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { EventRun, LoggedEvent } from '../store/read-events.ts';
import type { AccountChains } from './account-chains.ts';
import type { ReadChange } from './backlog.ts';
import type { ChangeReader } from './change-readers.ts';
import { dayOf } from './event-partitions.ts';
import type { ExpiredEvents } from './expired-events.ts';
import type { InsertedEvents } from './insert-events.ts';
import { lostEvents } from './lost-changes.ts';
import type { RecordedEvent } from './recorded-event.ts';

/** One statement takes at most so many events and so much text (a single larger event goes alone). */
const MAX_EVENTS = 1_000;
const MAX_CHARACTERS = 4_000_000;

/** Handed on with the event; a larger text is fetched when it is its turn, so that what waits stays small in memory. */
const MAX_INLINE_CHARACTERS = 16_000;

export interface RecordDeps {
  readonly readerOf: (message: Buffer) => ChangeReader | Promise<ChangeReader>;
  readonly listAccounts: () => Promise<readonly string[]>;
  readonly ensurePartitions: (days: readonly string[]) => Promise<void>;
  readonly insert: (events: readonly RecordedEvent[]) => Promise<InsertedEvents>;
  /** First day that is still kept, `2026-01-02`; what is older would only be dropped again. */
  readonly keptSince: () => string;
  readonly expired: ExpiredEvents;
  /** Of this partition, for as long as nobody else reads it. */
  readonly chains: AccountChains;
  /** What is told as lost when records of a partition are missing. */
  readonly resources: readonly Resource[];
  readonly onRecorded: (run: EventRun) => void;
  /** Something may have been recorded that `onRecorded` was not told of. */
  readonly onUnsure: () => void;
  readonly log: Log;
}

/**
 * Records the events of changes of one partition, in the order in which they are given, in as few statements as the limits allow.
 *
 * @throws when one could not be recorded; those before it are. Repeating the whole batch is safe.
 */
export type RecordBatch = (partition: number, changes: readonly ReadChange[]) => Promise<void>;

export function createRecordBatch(partitionCount: number, deps: RecordDeps): RecordBatch {
  const daysMade = new Set<string>();
  let isUnsure = false;

  /** A truncation is told to every account that this partition speaks for: to others it would come out of order. */
  const renderAll = async (partition: number, value: Buffer): Promise<RecordedEvent[]> => {
    const read = deps.readerOf(value);
    const { decode, renderer } = read instanceof Promise ? await read : read;
    if (renderer === undefined) return [];
    const change = decode(value);
    if (change.op !== 'truncate') return [renderer.render(change)];
    const known = await deps.listAccounts();
    const accounts = isOfOne(change.account) ? known.filter((account) => account === change.account) : known;
    return accounts
      .filter((account) => accountPartition(account, partitionCount) === partition)
      .map((account) => renderer.renderReset(change, account));
  };

  /** Records of the partition are missing before this one, or were the last. */
  const renderLost = async (partition: number, { value, lost }: ReadChange): Promise<RecordedEvent[]> => {
    const accounts = (await deps.listAccounts()).filter(
      (account) => accountPartition(account, partitionCount) === partition,
    );
    if (lost !== undefined) return lostEvents(deps.resources, accounts, lost);
    const read = deps.readerOf(value);
    const { decode } = read instanceof Promise ? await read : read;
    return lostEvents(deps.resources, accounts, decode(value).source);
  };

  const insert = async (events: readonly RecordedEvent[]): Promise<void> => {
    const keptSince = deps.keptSince();
    const isKept = (event: RecordedEvent) => dayOf(event.committedAt) >= keptSince;
    const kept = events.filter(isKept);
    let resets: readonly RecordedEvent[] = [];
    if (kept.length < events.length) {
      const expired = events.filter((event) => !isKept(event));
      resets = await deps.expired.resetsFor(expired, keptSince);
      deps.log.warn('events.too_old', { count: expired.length, keptSince, resets: resets.length });
      kept.push(...resets);
      kept.sort(byPosition);
    }
    if (kept.length > 0) await insertKept(kept);
    deps.expired.noteTold(resets);
  };

  /** An insert that fails may have been committed all the same, and its repeat then finds nothing new. */
  const insertOrNote = async (kept: readonly RecordedEvent[]): Promise<InsertedEvents> => {
    try {
      const inserted = await deps.insert(kept);
      if (isUnsure) deps.onUnsure();
      isUnsure = false;
      return inserted;
    } catch (error) {
      isUnsure = true;
      // Whatever it failed of, a partition that somebody dropped meanwhile is made again by the repeat.
      daysMade.clear();
      throw error;
    }
  };

  const insertKept = async (kept: readonly RecordedEvent[]): Promise<void> => {
    const days = [...new Set(kept.map((event) => dayOf(event.committedAt)))].filter(
      (day) => !daysMade.has(day),
    );
    if (days.length > 0) {
      await deps.ensurePartitions(days);
      for (const day of days) daysMade.add(day);
    }
    const { accounts, count } = await insertOrNote(kept);
    for (const [account, events] of Map.groupBy(kept, (event) => event.account)) {
      const last = events.at(-1);
      if (last === undefined) continue;
      const after = deps.chains.extend(account, last);
      const accountId = accounts.get(account);
      if (accountId === undefined) continue;
      deps.onRecorded({ accountId, after, events: events.map((event) => toLogged(event, accountId)) });
    }
    deps.log.debug('events.recorded', { count, read: kept.length });
  };

  return async (partition, changes) => {
    let events: RecordedEvent[] = [];
    let characters = 0;
    for (const [index, change] of changes.entries()) {
      const { offset, value } = change;
      if (change.isAfterGap) {
        const lost = await renderLost(partition, change);
        deps.log.error('changes.lost', {
          partition,
          offset,
          effect: `${lost.length} feed.reset: each account of the partition needs a new export`,
          remedy: 'see "Kafka lost records" in deploy/README.md',
        });
        events.push(...lost);
      }
      for (const event of change.lost === undefined ? await renderAll(partition, value) : []) {
        events.push(event);
        characters += event.payloadHead.length + event.payloadTail.length;
      }
      const isFull = events.length >= MAX_EVENTS || characters >= MAX_CHARACTERS;
      if (!isFull && index < changes.length - 1) continue;
      await insert(events);
      events = [];
      characters = 0;
    }
  };
}

/** `*`, or nothing in what earlier versions wrote, means every account. */
const isOfOne = (account: string) => account !== '' && account !== '*';

const byPosition = (a: RecordedEvent, b: RecordedEvent) => comparePositions(a, b);

/** The event as it would be read from the log. */
function toLogged(event: RecordedEvent, accountId: string): LoggedEvent {
  const { payloadHead, payloadTail, commitLsn, index, xid, type, resource, recordKey, committedAt } = event;
  const isInline = payloadHead.length + accountId.length + payloadTail.length <= MAX_INLINE_CHARACTERS;
  const payload = isInline ? payloadHead + accountId + payloadTail : undefined;
  return { position: { commitLsn, index }, xid, type, resource, recordKey, committedAt, payload };
}
