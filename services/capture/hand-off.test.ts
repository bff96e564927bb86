import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isVisible, type Snapshot } from '../../shared/domain/snapshot.ts';
import { createSettling, type Settling } from './publish/settled.ts';

/**
 * A small PostgreSQL: rows locked by their writer until it is visible or gone, a commit that is in the WAL (and so
 * in the feed) some time before it is visible, and subtransactions whose IDs are in no snapshot. On it, the law of
 * the hand-off is tried with random interleavings and crashes of capture: what a snapshot holds, plus the feed
 * filtered by that snapshot, is the source.
 */
interface Write {
  row: number;
  value: number | null;
}

interface Transaction {
  xid: bigint;
  writes: Write[];
  /** Writes before the savepoint stay when it is rolled back. */
  savepoint: number | null;
  state: 'running' | 'streamed' | 'visible' | 'aborted';
  commitLsn: bigint;
}

interface Export {
  snapshot: Snapshot;
  rows: Map<number, number>;
  startLsn: bigint;
}

class Model {
  readonly rows = new Map<number, number>();
  readonly feed: Transaction[] = [];
  readonly exports: Export[] = [];
  readonly open: (Transaction | null)[] = [null, null, null, null];
  #nextXid = 100n;
  #latestCompleted = 99n;
  /** Where the next commit record begins, which is where the one before ends. */
  #lsn = 1n;
  #settling: Settling = this.#startSettling(0n, [], null);

  /** Transactions that have not become visible or gone yet hold their row locks. */
  #isLocked(row: number, by: Transaction): boolean {
    return [...this.open, ...this.feed].some(
      (other) =>
        other !== null &&
        other !== by &&
        (other.state === 'running' || other.state === 'streamed') &&
        other.writes.some((write) => write.row === row),
    );
  }

  write(slot: number, row: number, value: number | null): void {
    let transaction = this.open[slot] ?? null;
    if (transaction === null) {
      transaction = { xid: this.#nextXid++, writes: [], savepoint: null, state: 'running', commitLsn: 0n };
      this.open[slot] = transaction;
    }
    if (!this.#isLocked(row, transaction)) transaction.writes.push({ row, value });
  }

  savepoint(slot: number): void {
    const transaction = this.open[slot];
    if (transaction == null) return;
    // The writes after a savepoint bear the subtransaction's own ID; pgoutput names the top-level one all the same.
    this.#nextXid++;
    transaction.savepoint = transaction.writes.length;
  }

  rollbackToSavepoint(slot: number): void {
    const transaction = this.open[slot];
    if (transaction?.savepoint == null) return;
    transaction.writes.length = transaction.savepoint;
  }

  commit(slot: number): void {
    const transaction = this.open[slot];
    if (transaction == null) return;
    transaction.commitLsn = this.#lsn++;
    transaction.state = 'streamed';
    this.feed.push(transaction);
    this.#settling.add({ commitLsn: transaction.commitLsn, xid: transaction.xid });
    this.open[slot] = null;
  }

  rollback(slot: number): void {
    const transaction = this.open[slot];
    if (transaction == null) return;
    transaction.state = 'aborted';
    this.#complete(transaction.xid);
    this.open[slot] = null;
  }

  /** Any streamed transaction may become visible before any other: nothing orders them but the locks. */
  show(pick: number): void {
    const waiting = this.feed.filter((transaction) => transaction.state === 'streamed');
    const transaction = waiting[pick % Math.max(waiting.length, 1)];
    if (transaction === undefined) return;
    transaction.state = 'visible';
    for (const { row, value } of transaction.writes) applyWrite(this.rows, row, value);
    this.#complete(transaction.xid);
  }

  #complete(xid: bigint): void {
    if (xid > this.#latestCompleted) this.#latestCompleted = xid;
  }

  snapshot(): Snapshot {
    const inProgress = [...this.open, ...this.feed]
      .filter((transaction): transaction is Transaction => transaction !== null)
      .filter(({ state }) => state === 'running' || state === 'streamed')
      .map(({ xid }) => xid);
    const xmax = this.#latestCompleted + 1n;
    const xip = inProgress.filter((xid) => xid < xmax);
    const xmin = xip.reduce((least, xid) => (xid < least ? xid : least), xmax);
    return { xmin, xmax, xip };
  }

  settle(): void {
    this.#settling.update(this.snapshot());
  }

  /** Capture dies and comes back with what it had committed, which is its state as of now. */
  crash(): void {
    const { settledLsn, unsettled, unsettledXmin } = this.#settling.state(this.#lsn);
    this.#settling = this.#startSettling(settledLsn, [...unsettled], unsettledXmin);
  }

  #startSettling(
    settledLsn: bigint,
    unsettled: { commitLsn: bigint; xid: bigint }[],
    unsettledXmin: bigint | null,
  ) {
    // So short a list that the way past its end is walked too.
    return createSettling({ settledLsn, unsettled, unsettledXmin }, this.snapshot(), 2);
  }

  export(): void {
    const { settledLsn } = this.#settling.state(this.#lsn);
    this.exports.push({ snapshot: this.snapshot(), rows: new Map(this.rows), startLsn: settledLsn });
  }
}

function applyWrite(rows: Map<number, number>, row: number, value: number | null): void {
  if (value === null) rows.delete(row);
  else rows.set(row, value);
}

const slot = fc.integer({ min: 0, max: 3 });
const row = fc.integer({ min: 0, max: 4 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(slot, row, fc.option(fc.integer())).map(
      ([s, r, v]) =>
        (m: Model) =>
          m.write(s, r, v),
    ),
  },
  { weight: 1, arbitrary: slot.map((s) => (m: Model) => m.savepoint(s)) },
  { weight: 1, arbitrary: slot.map((s) => (m: Model) => m.rollbackToSavepoint(s)) },
  { weight: 3, arbitrary: slot.map((s) => (m: Model) => m.commit(s)) },
  { weight: 1, arbitrary: slot.map((s) => (m: Model) => m.rollback(s)) },
  { weight: 3, arbitrary: fc.nat(9).map((pick) => (m: Model) => m.show(pick)) },
  { weight: 2, arbitrary: fc.constant((m: Model) => m.settle()) },
  { weight: 1, arbitrary: fc.constant((m: Model) => m.crash()) },
  { weight: 2, arbitrary: fc.constant((m: Model) => m.export()) },
);

/** Runs the steps, then lets everything end, and returns each export's replica beside the source. */
function play(steps: ((model: Model) => void)[], delivers: (t: Transaction, e: Export) => boolean) {
  const model = new Model();
  for (const run of steps) run(model);
  for (const each of [0, 1, 2, 3]) model.commit(each);
  while (model.feed.some(({ state }) => state === 'streamed')) model.show(0);
  const replicas = model.exports.map((taken) => {
    const replica = new Map(taken.rows);
    for (const transaction of model.feed) {
      if (!delivers(transaction, taken)) continue;
      for (const write of transaction.writes) applyWrite(replica, write.row, write.value);
    }
    return sorted(replica);
  });
  return { replicas, source: sorted(model.rows) };
}

const sorted = (rows: Map<number, number>) => [...rows].sort(([a], [b]) => a - b);

test('a snapshot and the feed filtered by it make the source, from the settled position on', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
      const { replicas, source } = play(
        steps,
        (transaction, { snapshot, startLsn }) =>
          transaction.commitLsn > startLsn && !isVisible(transaction.xid, snapshot),
      );
      for (const replica of replicas) expect(replica).toEqual(source);
    }),
    { numRuns: 2_000 },
  );
});

test('no change that the snapshot holds is delivered, and none that it does not hold is left out', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
      play(steps, (transaction, { snapshot, startLsn }) => {
        if (transaction.commitLsn <= startLsn) expect(isVisible(transaction.xid, snapshot)).toBe(true);
        return !isVisible(transaction.xid, snapshot);
      });
    }),
    { numRuns: 1_000 },
  );
});

test('cutting by the WAL position of the snapshot instead is wrong: the law above can fail', () => {
  const wrong = fc.check(
    fc.property(fc.array(step, { minLength: 40, maxLength: 120 }), (steps) => {
      const lsnAtExport = new Map<Export, bigint>();
      const tracked = steps.map((run) => (model: Model) => {
        run(model);
        const last = model.exports.at(-1);
        if (last !== undefined && !lsnAtExport.has(last))
          lsnAtExport.set(last, model.feed.at(-1)?.commitLsn ?? 0n);
      });
      const { replicas, source } = play(tracked, (t, taken) => t.commitLsn > (lsnAtExport.get(taken) ?? 0n));
      for (const replica of replicas) expect(replica).toEqual(source);
    }),
    { numRuns: 2_000 },
  );
  expect(wrong.failed).toBe(true);
});
