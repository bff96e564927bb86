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
  /** The commit LSN of the last change of these accounts (`source_id`) that is in the log. */
  readonly recordedTo: (accounts: readonly string[]) => Promise<Lsn>;
  /** Where losses are told, so that the repeat of one tells it in its place. */
  readonly losses: Pick<RecordedChain, 'findLoss' | 'keepLoss'>;
  readonly onRecorded: (run: EventRun) => void;
  /** Something may have been recorded that `onRecorded` was not told of. */
  readonly onUnsure: () => void;
  readonly log: Log;
}

/**
 * Records the events of changes of one partition, in the order in which they are given, in as few statements as the limits allow.
 *
 * @returns whether all that was lost is told. A loss that was noticed inside of a transaction is told behind that, before the next
 * one: until then it is known to nobody but this process, and changes have to be given in the order of the partition.
 * @throws when one could not be recorded; those before it are. Repeating the whole batch is safe.
 */
export type RecordBatch = (partition: number, changes: readonly ReadChange[]) => Promise<boolean>;

export function createRecordBatch(partitionCount: number, deps: RecordDeps): RecordBatch {
  const daysMade = new Set<string>();
  const shared = new Set(deps.resources.filter(isSharedResource).map(({ name }) => name));
  let isUnsure = false;

  /** Behind this a loss is to be told: up to where the log is recorded, or the end of a transaction that it may be amid. */
  let untoldAfter: Lsn | undefined;
  /** Of the last change that was recorded here and has one. */
  let lastLink: ChainLink | undefined;

  const accountsOf = async (partition: number): Promise<readonly string[]> =>
    (await deps.listAccounts()).filter((account) => accountPartition(account, partitionCount) === partition);

  /** A truncation is told to every account that this partition speaks for: to others it would come out of order. */
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

  /** Both say so: an account may be called like what stands for all, and a catalog may have changed since capture read it. */
  const isShared = ({ account, resource }: DecodedChange) =>
    account === EVERY_ACCOUNT && shared.has(resource);

  /** Where it is, and what a loss before it may be amid. */
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
    let untold = untoldAfter;
    let passed = lastLink;
    let listed: Promise<readonly string[]> | undefined;
    /** Read once: an account that comes after these changes were fetched has them in its first snapshot. */
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
    /** Tells what is missing before this change, or is to be told since an earlier one, where no reader has been yet. */
    const tellLoss = async (change: ReadChange): Promise<void> => {
      const through = missingUpTo(change) ?? passed;
      if (through === undefined) return;
      if (change.isAfterGap) await flush();
      const known = change.isAfterGap ? await deps.losses.findLoss(partition, through) : undefined;
      const place = known?.place ?? (await decidePlace(change));
      if (place === undefined) return;
      // All before the place is recorded once it is stored.
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
    /** @returns undefined while the loss has to be held */
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

/** Where the records that are missing before a change end; undefined when none are. */
function missingUpTo({ isAfterGap, link, lost }: ReadChange): ChainLink | undefined {
  if (lost !== undefined) return lost.through;
  return isAfterGap && link !== undefined ? linkBefore(link) : undefined;
}

/** A record of a shared resource is every account's: of those that this partition speaks for. */
function* renderForAll(event: RecordedEvent, accounts: readonly string[]) {
  for (const account of accounts) yield { ...event, account };
}

function* renderResets(renderer: EventRenderer, change: DecodedChange, accounts: readonly string[]) {
  for (const account of accounts) yield renderer.renderReset(change, account);
}

const latest = (...lsns: readonly Lsn[]): Lsn => lsns.reduce((a, b) => (a > b ? a : b));

/** `*`, or nothing in what earlier versions wrote, means every account. */
const isOfOne = (account: string) => account !== '' && account !== EVERY_ACCOUNT;

const byPosition = (a: RecordedEvent, b: RecordedEvent) => comparePositions(a, b);

/** The event as it would be read from the log. */
function toLogged(event: RecordedEvent, accountId: string): LoggedEvent {
  const { payloadHead, payloadTail, commitLsn, index, xid, type, resource, recordKey, committedAt } = event;
  const isInline = payloadHead.length + accountId.length + payloadTail.length <= MAX_INLINE_CHARACTERS;
  const payload = isInline ? payloadHead + accountId + payloadTail : undefined;
  const position = { commitLsn, index };
  const logged = { position, xid, type, resource, recordKey, committedAt, payload };
  return event.traceparent === undefined ? logged : { ...logged, traceparent: event.traceparent };
}

/** Accounts remembered for a partition; beyond this all are forgotten, which costs each one look into the log. */
const MAX_ACCOUNTS = 10_000;

/**
 * Remembers which event of each account was recorded last, and so between which events there are no others. That
 * holds only while this process reads the accounts' partition without a break: an account's events all come through one
 * partition, so what was not read here in between was not recorded by anyone else either.
 */
export interface AccountChains {
  /** @returns the last event of the account before those up to `last`, or undefined when it is not known */
  extend(account: string, last: Position): Position | undefined;
}

export function createAccountChains(maxAccounts: number = MAX_ACCOUNTS): AccountChains {
  const chains = new Map<string, Position>();
  return {
    extend(account, last) {
      const before = chains.get(account);
      if (before === undefined && chains.size >= maxAccounts) chains.clear();
      // What comes a second time does not take the end of the chain back.
      if (before === undefined || comparePositions(last, before) > 0) chains.set(account, last);
      return before;
    },
  };
}
