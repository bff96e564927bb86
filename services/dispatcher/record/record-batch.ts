import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { isShared as isSharedResource, type Resource } from '../../../shared/domain/catalog.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import { comparePositions, type Position } from '../../../shared/domain/position.ts';
import { type ChainLink, EVERY_ACCOUNT } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { EventRun, LoggedEvent } from '../store/read-events.ts';
import type { ReadChange } from './backlog.ts';
import { dayOf } from './event-partitions.ts';
import type { ExpiredEvents } from './expired-events.ts';
import type { InsertedEvents, RecordedEvent } from './insert-events.ts';
import { type ChangePlace, linkBefore, lostAmid, lostEvents, placeOfLoss } from './lost-changes.ts';
import type { RecordedChain } from './recorded-chain.ts';
import type { ChangeReader, EventRenderer } from './render-event.ts';
import { recordInSpans } from './trace-recording.ts';

/** Limits of one insert, in events and characters. A single larger event goes alone. */
const MAX_EVENTS = 1_000;
const MAX_CHARACTERS = 4_000_000;

/** Larger payloads are not handed on with the event but read when needed, so that waiting events use little memory. */
const MAX_INLINE_CHARACTERS = 16_000;

export interface RecordDeps {
  readonly readerOf: (message: Buffer) => ChangeReader | Promise<ChangeReader>;
  readonly listAccounts: () => Promise<readonly string[]>;
  readonly ensurePartitions: (days: readonly string[]) => Promise<void>;
  readonly insert: (events: readonly RecordedEvent[]) => Promise<InsertedEvents>;
  /** The first retained day, `2026-01-02`. Older events are not recorded, because they would be dropped again. */
  readonly keptSince: () => string;
  readonly expired: ExpiredEvents;
  /** The recorded events of this partition's accounts, while no other process reads the partition. */
  readonly chains: AccountChains;
  /** The resources that are reset when records of a partition are lost. */
  readonly resources: readonly Resource[];
  /** Commit LSN of the last logged change of these accounts (`source_id`). */
  readonly recordedTo: (accounts: readonly string[]) => Promise<Lsn>;
  /** Stores the places of reported losses, so that a repeated report gets the same place. */
  readonly losses: Pick<RecordedChain, 'findLoss' | 'keepLoss'>;
  readonly onRecorded: (run: EventRun) => void;
  /** Called when events may have been recorded without a call of `onRecorded`. */
  readonly onUnsure: () => void;
  readonly log: Log;
}

/**
 * Records the changes of one partition in the given order, in as few statements as the limits allow.
 *
 * @returns whether every loss is reported. A loss inside a transaction is reported after it, before the next one. Until
 * then only this process knows of the loss, and the caller must pass changes in the partition's order
 * @throws when a change could not be recorded; the changes before it are. Repeating the whole batch is safe
 */
export type RecordBatch = (partition: number, changes: readonly ReadChange[]) => Promise<boolean>;

export function createRecordBatch(partitionCount: number, deps: RecordDeps): RecordBatch {
  const daysMade = new Set<string>();
  const shared = new Set(deps.resources.filter(isSharedResource).map(({ name }) => name));
  let isUnsure = false;

  /**
   * A loss waits to be reported behind this LSN: the end of the log, or of a transaction that may contain lost changes.
   */
  let untoldAfter: Lsn | undefined;
  /** The last link among the changes recorded here. */
  let lastLink: ChainLink | undefined;

  const accountsOf = async (partition: number): Promise<readonly string[]> =>
    (await deps.listAccounts()).filter((account) => accountPartition(account, partitionCount) === partition);

  /**
   * A truncation is reported to each account of this partition. Accounts of other partitions would get it out of order.
   */
  const renderAll = async (
    value: Buffer,
    listHere: () => Promise<readonly string[]>,
  ): Promise<Iterable<RecordedEvent>> => {
    const read = deps.readerOf(value);
    const { decode, renderer } = read instanceof Promise ? await read : read;
    if (renderer === undefined) return [];
    const change = decode(value);
    if (change.op !== 'truncate') {
      const event = renderer.render(change);
      return isShared(change) ? renderForAll(event, await listHere()) : [event];
    }
    const accounts = await listHere();
    const told = isOfOne(change.account)
      ? accounts.filter((account) => account === change.account)
      : accounts;
    return renderResets(renderer, change, told);
  };

  /**
   * Both conditions are needed: an account's ID may look like the mark for all accounts, and the catalog may have
   * changed since capture read it.
   */
  const isShared = ({ account, resource }: DecodedChange) =>
    account === EVERY_ACCOUNT && shared.has(resource);

  /** The place of a change, and the transaction that may contain changes lost before it. */
  const placeOf = async ({ value, lost }: ReadChange): Promise<{ place: ChangePlace; amid: Lsn }> => {
    if (lost !== undefined) return { place: lost.place, amid: 0n };
    const read = deps.readerOf(value);
    const { decode } = read instanceof Promise ? await read : read;
    const { source } = decode(value);
    return { place: source, amid: lostAmid(source) };
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
    if (kept.length > 0) await recordInSpans(kept, insertKept);
    deps.expired.noteTold(resets);
  };

  /** A failed insert may have been committed. Its repeat then inserts nothing new. */
  const insertOrNote = async (kept: readonly RecordedEvent[]): Promise<InsertedEvents> => {
    try {
      const inserted = await deps.insert(kept);
      if (isUnsure) deps.onUnsure();
      isUnsure = false;
      return inserted;
    } catch (error) {
      isUnsure = true;
      // The cause may be a partition that somebody dropped, so the repeat creates them again.
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
    let untold = untoldAfter;
    let passed = lastLink;
    let listed: Promise<readonly string[]> | undefined;
    /** Read once: an account created after these changes were fetched has them in its first snapshot. */
    const listHere = () => {
      listed ??= accountsOf(partition);
      return listed;
    };
    const flush = async (): Promise<void> => {
      if (events.length > 0) await insert(events);
      events = [];
      characters = 0;
    };
    const add = async (added: Iterable<RecordedEvent>, traceparent?: string): Promise<void> => {
      for (const event of added) {
        events.push(traceparent === undefined ? event : { ...event, traceparent });
        characters += event.payloadHead.length + event.payloadTail.length;
        if (events.length >= MAX_EVENTS || characters >= MAX_CHARACTERS) await flush();
      }
    };
    /** Reports the loss before this change, or an earlier loss that waits, at a place that no reader has passed. */
    const tellLoss = async (change: ReadChange): Promise<void> => {
      const through = missingUpTo(change) ?? passed;
      if (through === undefined) return;
      if (change.isAfterGap) await flush();
      const known = change.isAfterGap ? await deps.losses.findLoss(partition, through) : undefined;
      const place = known?.place ?? (await decidePlace(change));
      if (place === undefined) return;
      // Stored losses imply that everything before their place is recorded.
      await flush();
      const loss = known ?? (await deps.losses.keepLoss(partition, { through, place }));
      untold = undefined;
      const accounts = await accountsOf(partition);
      deps.log.error('changes.lost', {
        partition,
        offset: change.offset,
        effect: `feed.reset of ${deps.resources.length} resources to ${accounts.length} accounts: each needs a new export`,
        remedy: 'see "Kafka lost records" in deploy/README.md',
      });
      await add(lostEvents(deps.resources, accounts, loss.place));
    };
    /** @returns undefined while the report has to wait */
    const decidePlace = async (change: ReadChange): Promise<ChangePlace | undefined> => {
      const { offset, isAfterGap } = change;
      const { place: before, amid } = await placeOf(change);
      const behind = isAfterGap
        ? latest(untold ?? 0n, await deps.recordedTo(await accountsOf(partition)), amid)
        : (untold ?? 0n);
      untold = behind;
      const place = placeOfLoss(before, behind);
      if (place === undefined && isAfterGap)
        deps.log.warn('changes.loss_held', { partition, offset, behind: formatLsn(behind) });
      return place;
    };

    for (const change of changes) {
      if (change.isAfterGap || untold !== undefined) await tellLoss(change);
      if (change.lost === undefined) await add(await renderAll(change.value, listHere), change.traceparent);
      passed = change.lost?.through ?? change.link ?? passed;
    }
    await flush();
    untoldAfter = untold;
    lastLink = passed;
    return untold === undefined;
  };
}

/** The link up to which records are missing before a change; undefined when none are. */
function missingUpTo({ isAfterGap, link, lost }: ReadChange): ChainLink | undefined {
  if (lost !== undefined) return lost.through;
  return isAfterGap && link !== undefined ? linkBefore(link) : undefined;
}

/** A record of a shared resource belongs to every account, here to those of this partition. */
function* renderForAll(event: RecordedEvent, accounts: readonly string[]) {
  for (const account of accounts) yield { ...event, account };
}

function* renderResets(renderer: EventRenderer, change: DecodedChange, accounts: readonly string[]) {
  for (const account of accounts) yield renderer.renderReset(change, account);
}

const latest = (...lsns: readonly Lsn[]): Lsn => lsns.reduce((a, b) => (a > b ? a : b));

/** `*` means every account. Earlier versions wrote an empty value. */
const isOfOne = (account: string) => account !== '' && account !== EVERY_ACCOUNT;

const byPosition = (a: RecordedEvent, b: RecordedEvent) => comparePositions(a, b);

/** The event in the form in which it is read from the log. */
function toLogged(event: RecordedEvent, accountId: string): LoggedEvent {
  const { payloadHead, payloadTail, commitLsn, index, xid, type, resource, recordKey, committedAt } = event;
  const isInline = payloadHead.length + accountId.length + payloadTail.length <= MAX_INLINE_CHARACTERS;
  const payload = isInline ? payloadHead + accountId + payloadTail : undefined;
  const position = { commitLsn, index };
  const logged = { position, xid, type, resource, recordKey, committedAt, payload };
  return event.traceparent === undefined ? logged : { ...logged, traceparent: event.traceparent };
}

/**
 * Limit of remembered accounts per partition. Beyond it all are forgotten, which costs one read of the log per account.
 */
const MAX_ACCOUNTS = 10_000;

/**
 * Remembers the last recorded event of each account, and so between which events there are no others. This holds only
 * while this process reads the partition without a break: all events of an account come through one partition, so no
 * other process records events in between.
 */
export interface AccountChains {
  /** @returns the last event of the account before those up to `last`, or undefined when unknown */
  extend(account: string, last: Position): Position | undefined;
}

export function createAccountChains(maxAccounts: number = MAX_ACCOUNTS): AccountChains {
  const chains = new Map<string, Position>();
  return {
    extend(account, last) {
      const before = chains.get(account);
      if (before === undefined && chains.size >= maxAccounts) chains.clear();
      // A repeated event does not move the end of the chain back.
      if (before === undefined || comparePositions(last, before) > 0) chains.set(account, last);
      return before;
    },
  };
}
