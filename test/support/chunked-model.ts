import { isVisible, type Snapshot } from '../../shared/domain/snapshot.ts';
import {
  type Event,
  eventsOf,
  type Filled,
  fullEventsOf,
  isSame,
  mergeOf,
  ours,
  print,
  type Row,
  replicaOf,
  type Transaction,
  type Write,
} from './chunked-events.ts';

interface Read {
  readonly chunk: number;
  readonly rows: readonly Row[];
  /** All that was read is durable once the WAL is on disk up to here. */
  readonly lsn: number;
  readonly isOnReplica: boolean;
}

export const IDS = [1, 2, 3, 4, 5, 6];
/** A chunk has the keys up to its end; the last one has no end. */
export const ENDS = [2, 4, Infinity];
/**
 * A small PostgreSQL with a replica: commits become visible later than they are written, in another order, and some before they
 * are on disk; a crash takes those back and issues their IDs again. The replica shows commits in the order of the WAL. On
 * it, the law of chunked exports is tried: what chunks read at different times, with the last event of each record that
 * the last snapshot sees and the first did not, is what the last snapshot sees. Capture reads values that were not sent from the
 * row when it comes to the change, which may be long after.
 */
export class Model {
  log: Transaction[] = [];
  readonly open: (Transaction | undefined)[] = [undefined, undefined, undefined];
  #nextXid = 100n;
  #lsn = 0;
  #flushed = 0;
  #replayed = 0;
  /** Not yet durable. */
  #beginning: { snapshot: Snapshot; lsn: number } | undefined;
  #isBegun = false;
  #reading: Read | undefined;
  #reads = new Map<number, Read>();
  #end: { snapshot: Snapshot; lsn: number; settledLsn: number; rows: Row[] } | undefined;
  result: { files: string[]; wanted: string[] } | 'single' | undefined;
  /** Of an export with as_of, by the cut. */
  readonly pasts: { cut: number; files: string[]; wanted: string[] }[] = [];
  readonly #fill: Fill;
  readonly #identity: Identity;

  constructor(fill: Fill, identity: Identity = 'key') {
    this.#fill = fill;
    this.#identity = identity;
  }

  #state(transactions: readonly Transaction[]): Map<number, Row> {
    const rows = new Map<number, Row>();
    for (const { writes, isTruncate } of transactions) {
      if (isTruncate) rows.clear();
      for (const { before, after } of writes) {
        if (before !== undefined) rows.delete(before.id);
        if (after !== undefined) rows.set(after.id, after);
      }
    }
    return rows;
  }

  #visible = () => this.#state(this.log.filter(({ state }) => state === 'visible'));

  /** As everybody sees them. */
  rows = () => ours(this.#visible());

  #unfinished = () => [
    ...this.open.flatMap((transaction) => transaction ?? []),
    ...this.log.filter(({ state }) => state === 'written'),
  ];

  begin(slot: number, id: number, kind: number, other: number, value: string): void {
    if (this.open[slot] !== undefined) return;
    const locked = this.#unfinished().flatMap(({ writes, isTruncate }) =>
      isTruncate ? IDS : writes.flatMap(({ before, after }) => [before?.id, after?.id]),
    );
    const isTruncate = kind === 7;
    if (isTruncate ? this.#unfinished().length > 0 : locked.includes(id) || locked.includes(other)) return;
    const rows = this.#visible();
    const before = rows.get(id);
    const after = ((): Row | undefined => {
      if (before === undefined) {
        return { id, account: kind === 6 ? 'theirs' : 'ours', text: value, big: `big ${value}` };
      }
      if (kind <= 1) return { ...before, text: value };
      if (kind === 2) return { ...before, text: value, big: `big ${value}` };
      if (kind === 3) return undefined;
      if (kind === 4) return rows.has(other) ? before : { ...before, id: other };
      return { ...before, account: before.account === 'ours' ? 'theirs' : 'ours' };
    })();
    const isBigSent = before === undefined || before.big !== after?.big;
    const writes = isTruncate ? [] : [{ before, after, isBigSent, isRestored: kind === 0 }];
    const filled = new Map<Write, Filled>();
    const xid = this.#nextXid++;
    this.open[slot] = { xid, writes, isTruncate, lsn: 0, state: 'running', isCaptured: false, filled };
  }

  /** So that a key changes hands several times within one reading. */
  writeAtOnce(slot: number, ...write: [id: number, kind: number, other: number, value: string]): void {
    this.begin(slot, ...write);
    this.commit(slot);
    for (const transaction of this.log) transaction.state = 'visible';
    this.flush();
  }

  commit(slot: number): void {
    const transaction = this.open[slot];
    if (transaction === undefined) return;
    this.open[slot] = undefined;
    transaction.lsn = ++this.#lsn;
    transaction.state = 'written';
    this.log.push(transaction);
  }

  show(pick: number): void {
    const written = this.log.filter(({ state }) => state === 'written');
    const transaction = written[pick % Math.max(written.length, 1)];
    if (transaction !== undefined) transaction.state = 'visible';
  }

  flush(): void {
    this.#flushed = this.#lsn;
  }

  replay(): void {
    this.#replayed = Math.min(this.#replayed + 1, this.#flushed);
  }

  /** Takes up the next transaction that is on disk. @returns whether there was one that could be */
  capture(): boolean {
    const next = this.log.find(({ isCaptured }) => !isCaptured);
    if (next === undefined || next.lsn > this.#flushed) return false;
    const lacking = this.#identity === 'full' ? [] : next.writes.filter(lacksBig);
    if (lacking.length > 0 && this.#fill !== 'unseen' && next.state !== 'visible') return false;
    for (const write of lacking) {
      const row = this.#visible().get(write.after?.id ?? 0);
      if (row?.account === 'ours') next.filled.set(write, { big: row.big, lsn: this.#lsn });
    }
    // A row that is not there may have gone by a change that is not on disk either.
    if (lacking.length > 0 && this.#fill !== 'volatile') this.flush();
    next.isCaptured = true;
    return true;
  }

  /** What is not on disk is lost, and its IDs and positions are used again. */
  crash(): void {
    this.open.fill(undefined);
    this.log = this.log.filter(({ lsn }) => lsn <= this.#flushed);
    for (const transaction of this.log) transaction.state = 'visible';
    this.#lsn = this.#flushed;
    this.#nextXid = this.log.reduce((most, { xid }) => (xid >= most ? xid + 1n : most), 100n);
    if (!this.#isBegun) this.#beginning = undefined;
    this.#reading = undefined;
    this.#end = undefined;
  }

  /** A worker dies, or a replica cancels a read. */
  cancel(): void {
    this.#reading = undefined;
  }

  #snapshot(): Snapshot {
    const xip = this.#unfinished().map(({ xid }) => xid);
    const xmin = xip.reduce((least, xid) => (xid < least ? xid : least), this.#nextXid);
    return { xmin, xmax: this.#nextXid, xip };
  }

  /** The export takes the next step that it may take. */
  step(pick: number, rule: Rule): void {
    if (this.result !== undefined) return;
    if (this.#beginning === undefined) {
      this.#beginning = { snapshot: this.#snapshot(), lsn: this.#lsn };
    } else if (!this.#isBegun) {
      this.#isBegun = this.#flushed >= this.#beginning.lsn;
    } else if (this.#reading !== undefined) {
      if (!this.#reading.isOnReplica && this.#flushed < this.#reading.lsn) return;
      this.#reads.set(this.#reading.chunk, this.#reading);
      this.#reading = undefined;
    } else if (this.#reads.size < ENDS.length) {
      this.#read(pick, this.#beginning.lsn);
    } else if (this.#end === undefined) {
      const replayed = [...this.#reads.values()].map(({ isOnReplica, lsn }) => (isOnReplica ? lsn : 0));
      const mayLack = this.log.some(({ state, lsn }) => state === 'written' && lsn <= Math.max(...replayed));
      if (mayLack) return;
      const unseen = this.log.find(({ state }) => state === 'written');
      const settledLsn = unseen === undefined ? this.#lsn : unseen.lsn - 1;
      this.#end = { snapshot: this.#snapshot(), lsn: this.#lsn, settledLsn, rows: ours(this.#visible()) };
    } else if (this.#flushed >= this.#end.lsn) {
      while (this.capture());
      const { lsn: endLsn } = this.#end;
      if (!this.log.every(({ isCaptured, lsn }) => isCaptured || lsn > endLsn)) return;
      this.result = this.#files(rule);
      if (this.#identity === 'full') for (let cut = 1; cut <= endLsn + 1; cut += 1) this.#past(cut, rule);
    }
  }

  /** The files of the state of all commits before the cut. */
  #past(cut: number, rule: Rule): void {
    const [beginning, end] = [this.#beginning, this.#end];
    if (beginning === undefined || end === undefined) throw new Error('not read');
    const isInAll = (xid: bigint, lsn: number) => lsn <= beginning.lsn && isVisible(xid, beginning.snapshot);
    const isApart = ({ xid, lsn }: Pick<Event, 'xid' | 'lsn'>) =>
      lsn >= cut
        ? isVisible(xid, end.snapshot)
        : !(rule === 'end' ? isVisible(xid, end.snapshot) : isInAll(xid, lsn));
    const known = this.log.filter(({ lsn }) => lsn <= end.lsn);
    if (known.some((each) => each.isTruncate && (each.lsn >= cut || isApart(each)))) return;
    const all = known.flatMap((each) => fullEventsOf(each));
    const affected = new Set(all.filter(isApart).map(({ id }) => id));
    const files = ENDS.flatMap((_, chunk) => {
      const isHere = ({ id }: Event) => id > (ENDS[chunk - 1] ?? 0) && id <= (ENDS[chunk] ?? 0);
      const events = all.filter((event) => affected.has(event.id) && isHere(event));
      return mergeOf(this.#reads.get(chunk)?.rows ?? [], events, cut);
    });
    const wanted = ours(this.#state(this.log.filter(({ lsn }) => lsn < cut))).map(print);
    this.pasts.push({ cut, files, wanted });
  }

  #read(pick: number, fromLsn: number): void {
    const waiting = ENDS.flatMap((_, chunk) => (this.#reads.has(chunk) ? [] : [chunk]));
    const chunk = waiting[pick % waiting.length] ?? 0;
    const isOnReplica = pick % 2 === 1 && this.#replayed >= fromLsn;
    const state = isOnReplica
      ? this.#state(this.log.filter(({ lsn }) => lsn <= this.#replayed))
      : this.#visible();
    const rows = ours(state).filter(({ id }) => id > (ENDS[chunk - 1] ?? 0) && id <= (ENDS[chunk] ?? 0));
    this.#reading = { chunk, rows, lsn: isOnReplica ? this.#replayed : this.#lsn, isOnReplica };
  }

  #files(rule: Rule): Model['result'] {
    const [beginning, end] = [this.#beginning, this.#end];
    if (beginning === undefined || end === undefined) throw new Error('not read');
    const isBetween = (xid: bigint, lsn: number, chunk: number) =>
      rule !== 'positions'
        ? !(lsn <= beginning.lsn && isVisible(xid, beginning.snapshot)) && isVisible(xid, end.snapshot)
        : lsn > (this.#reads.get(chunk)?.lsn ?? 0) && lsn <= end.lsn;
    if (this.log.some(({ isTruncate, xid, lsn }) => isTruncate && isBetween(xid, lsn, 0))) return 'single';
    const files = ENDS.flatMap((_, chunk) => {
      const rows = this.#reads.get(chunk)?.rows ?? [];
      const events = this.log
        .flatMap((each) => eventsOf(each, this.#fill === 'undated' ? Infinity : end.settledLsn))
        .filter(({ id }) => id > (ENDS[chunk - 1] ?? 0) && id <= (ENDS[chunk] ?? 0))
        .filter(({ xid, lsn }) => isBetween(xid, lsn, chunk));
      return mergeOf(rows, events);
    });
    if (files.includes('unknown')) return 'single';
    return { files, wanted: end.rows.map(print) };
  }
}

/** `end`: a past state is compared with the last snapshot alone, as under one snapshot. */
export type Rule = 'visibility' | 'positions' | 'end';

/** What an old row has. Past states need `full`. */
export type Identity = 'key' | 'full';

/**
 * How capture reads what was not sent. `exact`: once the change is visible, with the position of the reading, and on disk before it
 * is told. The others leave out one of the three.
 */
export type Fill = 'exact' | 'unseen' | 'undated' | 'volatile';

/** A record that is new to its subscriber, or may be, has no earlier value to keep. */
const lacksBig = ({ before, after, isBigSent, isRestored }: Write) =>
  !isBigSent && after?.account === 'ours' && (isRestored || !isSame(before, after));

/** What the export made, what a subscriber has who has been told everything, and what both should be. */
export function comeToRest(model: Model, rule: Rule) {
  // In the end everything comes to rest.
  for (const slot of model.open.keys()) model.commit(slot);
  while (model.log.some(({ state }) => state === 'written')) model.show(0);
  for (let left = 40; model.result === undefined && left > 0; left -= 1) {
    model.flush();
    model.step(left, rule);
  }
  if (model.result === undefined) throw new Error('the export does not end');
  model.flush();
  while (model.capture());
  return { result: model.result, replica: replicaOf(model.log), source: model.rows().map(print) };
}
