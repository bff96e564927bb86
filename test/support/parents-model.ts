import fc from 'fast-check';
import { createMadeRecords } from '../../services/capture/changes/made-records.ts';
import { createRecordAccounts } from '../../services/capture/routes/record-accounts.ts';
import {
  commitOf,
  createReferenceChanges,
  createReferenceCounts,
} from '../../services/capture/routes/reference-counts.ts';
import type { Route } from '../../shared/control/routes.ts';
import { resource } from './resource.ts';

/**
 * Children and their parents in a small PostgreSQL without a foreign key: a commit is in the WAL some time before it is visible, in
 * another order than others, and rows are locked until then. A child may be there before its parent and after it, and another parent
 * may come under the key. An export holds by the join what its snapshot sees, and its subscriber gets the changes that it does not see,
 * with the accounts that the routes give as of their commits. He has what is his, or was told to begin again. A chunked export has what
 * a snapshot between two others sees, with the changes that the last one sees and the first does not.
 */
export type Write =
  /** Of no account: it is deleted. */
  | { readonly kind: 'parent'; readonly row: number; readonly account: string | null }
  | { readonly kind: 'child'; readonly row: number; readonly parent: number | null };

interface Transaction {
  readonly writes: Write[];
  state: 'running' | 'streamed' | 'visible';
}

interface FeedEvent {
  readonly place: number;
  readonly of: Transaction;
  readonly account: string;
  readonly change: { readonly row: number; readonly isThere: boolean } | 'reset';
}

export const PARENTS = [1, 2];
const ACCOUNTS = ['a', 'b'];

const parents = resource('parents');
const children = resource('children', {
  account: { columns: ['parent_id'], parents: [{ resource: parents }] },
});
const CATALOG = { name: 'model', resources: [parents, children] };

interface Step {
  readonly do: 'write' | 'stream' | 'show' | 'export';
  readonly slot: number;
  readonly write: Write;
}

export const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(
    'write' as const,
    'write' as const,
    'stream' as const,
    'show' as const,
    'export' as const,
  ),
  slot: fc.nat(2),
  write: fc.oneof(
    fc.record({
      kind: fc.constant('parent' as const),
      row: fc.constantFrom(...PARENTS),
      account: fc.constantFrom(...ACCOUNTS, null),
    }),
    fc.record({
      kind: fc.constant('child' as const),
      row: fc.integer({ min: 1, max: 3 }),
      parent: fc.constantFrom(...PARENTS, null),
    }),
  ),
});

interface Rules {
  /** The extractor does not look whether its snapshot sees parents and children in another order than they committed in. */
  readonly isLateUntold?: boolean;
  /** Nor whether the first snapshot of a chunked export does, or that of a chunk. */
  readonly unasked?: 'beginning' | 'chunk';
}

interface Export {
  readonly sees: ReadonlySet<Transaction>;
  readonly from: number;
  readonly isLate: boolean;
  readonly rows: ReadonlyMap<string, ReadonlySet<number>>;
}

/** @returns whether every subscriber has what is his, or was told */
export async function play(steps: readonly Step[], rules: Rules = {}): Promise<boolean> {
  const open: (Transaction | undefined)[] = [];
  const streamed: Transaction[] = [];
  const exports: Export[] = [];

  const rowsOf = (transactions: readonly Transaction[]) => {
    const accounts = new Map(PARENTS.map((row) => [row, 'a']));
    const of = new Map<number, number>();
    for (const write of transactions.flatMap(({ writes }) => writes)) {
      if (write.kind === 'parent') {
        if (write.account === null) accounts.delete(write.row);
        else accounts.set(write.row, write.account);
      } else if (write.parent === null) of.delete(write.row);
      else of.set(write.row, write.parent);
    }
    return { accounts, of };
  };
  const stateOf = (transactions: readonly Transaction[]) => {
    const { accounts, of } = rowsOf(transactions);
    return new Map(
      ACCOUNTS.map((account) => [
        account,
        new Set([...of].filter(([, parent]) => accounts.get(parent) === account).map(([row]) => row)),
      ]),
    );
  };
  const isLocked = (write: Write, by: Transaction) =>
    [...open, ...streamed].some(
      (other) =>
        other !== undefined &&
        other !== by &&
        other.state !== 'visible' &&
        other.writes.some((held) => held.kind === write.kind && held.row === write.row),
    );
  const stream = (slot: number) => {
    const transaction = open[slot];
    if (transaction === undefined) return;
    transaction.state = 'streamed';
    streamed.push(transaction);
    open[slot] = undefined;
  };
  const show = (at: number) => {
    const waiting = streamed.filter(({ state }) => state === 'streamed');
    const shown = waiting[at % Math.max(1, waiting.length)];
    if (shown !== undefined) shown.state = 'visible';
  };

  for (const { do: what, slot, write } of steps) {
    if (what === 'stream') stream(slot);
    else if (what === 'show') show(slot);
    else if (what === 'export') {
      const sees = new Set(streamed.filter(({ state }) => state === 'visible'));
      const settled = streamed.findIndex((each) => !sees.has(each));
      const from = settled < 0 ? streamed.length : settled;
      const rows = stateOf(streamed.filter((each) => sees.has(each)));
      exports.push({ sees, from, isLate: isLate(streamed, sees), rows });
    } else {
      const transaction = open[slot] ?? { writes: [], state: 'running' as const };
      open[slot] = transaction;
      if (!isLocked(write, transaction)) transaction.writes.push(write);
    }
  }
  for (const slot of open.keys()) stream(slot);

  const events = await feedOf(streamed);
  const end = stateOf(streamed);
  if (
    !isFollowed(
      events,
      streamed.map((_, place) => stateOf(streamed.slice(0, place + 1))),
    )
  )
    return false;
  if (!areChunkedRight(exports, events, rules)) return false;
  return exports.every(({ sees, from, rows, isLate }) =>
    ACCOUNTS.every((account) => {
      if (isLate && rules.isLateUntold !== true) return true;
      const has = new Set(rows.get(account));
      const delivered = events
        .filter((event) => event.account === account && event.place >= from)
        .filter(({ of }) => !sees.has(of));
      if (delivered.some(({ change }) => change === 'reset')) return true;
      for (const { change } of delivered) {
        if (change === 'reset') continue;
        if (change.isThere) has.add(change.row);
        else has.delete(change.row);
      }
      return [...has].toSorted().join() === [...(end.get(account) ?? [])].toSorted().join();
    }),
  );
}

/**
 * Whether the files of each chunked export are those of its last snapshot, unless that is told to begin again, or the events do not decide
 * and everything is read under it.
 */
function areChunkedRight(
  exports: readonly Export[],
  events: readonly FeedEvent[],
  { unasked }: Rules,
): boolean {
  const begun = exports.filter(({ isLate }) => unasked === 'beginning' || !isLate);
  return begun.every((beginning) => {
    const chunks = exports.slice(exports.indexOf(beginning));
    return chunks
      .filter(({ isLate }) => unasked === 'chunk' || !isLate)
      .every((chunk) =>
        exports
          .slice(exports.indexOf(chunk))
          .filter(({ isLate }) => !isLate)
          .every((end) =>
            ACCOUNTS.every((account) => isChunkedRight(account, { beginning, chunk, end }, events)),
          ),
      );
  });
}

function isChunkedRight(
  account: string,
  { beginning, chunk, end }: Readonly<Record<'beginning' | 'chunk' | 'end', Export>>,
  events: readonly FeedEvent[],
): boolean {
  const changes = events
    .filter((event) => event.account === account && end.sees.has(event.of) && !beginning.sees.has(event.of))
    .map(({ change }) => change);
  const files = new Set(chunk.rows.get(account));
  for (const change of changes) {
    if (change === 'reset') return true;
    if (change.isThere) files.add(change.row);
    else files.delete(change.row);
  }
  return [...files].toSorted().join() === [...(end.rows.get(account) ?? [])].toSorted().join();
}

/** Whether each account has what is his after each commit, and was told of no other's record, or was told to begin again. */
function isFollowed(
  events: readonly FeedEvent[],
  states: readonly ReadonlyMap<string, ReadonlySet<number>>[],
): boolean {
  return ACCOUNTS.every((account) => {
    let has = new Set<number>();
    return states.every((state, place) => {
      const told = events.filter((event) => event.account === account && event.place === place);
      const rows = state.get(account) ?? new Set();
      const isReset = told.some(({ change }) => change === 'reset');
      for (const { change } of told) {
        if (change === 'reset') continue;
        if (!change.isThere && !has.has(change.row)) return false;
        if (change.isThere) has.add(change.row);
        else has.delete(change.row);
      }
      if (isReset) has = new Set(rows);
      return [...has].toSorted().join() === [...rows].toSorted().join();
    });
  });
}

/** Whether one of a parent's and one of a child's transactions are seen in another order than they committed in, by what capture notes. */
function isLate(streamed: readonly Transaction[], sees: ReadonlySet<Transaction>): boolean {
  const owners = firstOwners();
  const of = new Map<number, number>();
  const noted = streamed.map((transaction, place) => {
    const commit = commitOf(readTransaction(transaction, BigInt(place + 1), owners, of));
    for (const write of transaction.writes) if (write.kind === 'child') refer(of, write);
    return { ...commit, isSeen: sees.has(transaction) };
  });
  return noted.some(
    (one, at) =>
      !one.isSeen &&
      noted
        .slice(at)
        .some(
          (other) =>
            other.isSeen &&
            ((one.hasRoutes && other.hasReferences) || (one.hasReferences && other.hasRoutes)),
        ),
  );
}

const firstOwners = () => new Map(PARENTS.map((row) => [row, 'a']));

function refer(of: Map<number, number>, { row, parent }: Extract<Write, { kind: 'child' }>): void {
  if (parent === null) of.delete(row);
  else of.set(row, parent);
}

const key = (row: number) => JSON.stringify([String(row)]);

/** What a transaction says, by the rows as those before it have left them. */
function readTransaction(
  { writes }: Pick<Transaction, 'writes'>,
  commitLsn: bigint,
  owners: Map<number, string>,
  of: ReadonlyMap<number, number>,
) {
  const routes = new Map<string, Omit<Route, 'referredBy'>>();
  const references = createReferenceChanges();
  const now = new Map(of);
  let hasChildRows = false;
  for (const write of writes) {
    const { row } = write;
    if (write.kind === 'child') {
      hasChildRows = true;
      const [before, after] = [now.get(row), write.parent];
      refer(now, write);
      if (before === (after ?? undefined)) continue;
      if (before !== undefined) references.add('children', { resource: 'parents', key: key(before) }, -1);
      if (after !== null) references.add('children', { resource: 'parents', key: key(after) }, 1);
      continue;
    }
    const owner = write.account ?? owners.get(row);
    if (owner === undefined) continue;
    if (write.account === null) owners.delete(row);
    else owners.set(row, owner);
    const route = { resource: 'parents', key: key(row), sinceLsn: commitLsn, owner };
    routes.set(key(row), { ...route, isDeleted: write.account === null });
  }
  return { commitLsn, xid: commitLsn, routes, references, hasChildRows };
}

/** What capture makes of transactions, in commit order. */
export async function feedOf(transactions: readonly Pick<Transaction, 'writes'>[]): Promise<FeedEvent[]> {
  const stored: Route[] = PARENTS.map((row) => ({
    ...{ resource: 'parents', key: key(row), sinceLsn: 0n, owner: 'a', isDeleted: false, referredBy: [] },
  }));
  const accounts = createRecordAccounts(CATALOG, async (records) =>
    stored.filter((route) => records.some((record) => record.key === route.key)),
  );
  const written = transactions.flatMap(({ writes }) => writes);
  const keys = written.map((write) => (write.kind === 'parent' ? write.row : write.parent));
  await accounts.load(keys.flatMap((row) => (row === null ? [] : [{ resource: 'parents', key: key(row) }])));
  const counts = createReferenceCounts([]);
  const references = new Map<number, number>();
  const owners = firstOwners();
  return transactions.flatMap((transaction, place): FeedEvent[] => {
    const of = transaction as Transaction;
    const commitLsn = BigInt(place + 1);
    accounts.add(counts.routesOf(readTransaction(transaction, commitLsn, owners, references)));
    const made = createMadeRecords();
    return transaction.writes.flatMap((write): FeedEvent[] => {
      if (write.kind === 'parent') {
        const moved = accounts.moveOf({ resource: 'parents', key: key(write.row) }, commitLsn);
        return (moved?.accounts ?? []).map((account) => ({ place, of, account, change: 'reset' }));
      }
      const before = references.get(write.row);
      refer(references, write);
      const change = (isThere: boolean) => ({ row: write.row, isThere });
      const by = (parent: number) => (version: 'before' | 'after') =>
        accounts.accountOf({ resource: 'parents', key: key(parent) }, version, commitLsn);
      const record = String(write.row);
      const former = before === undefined ? undefined : made.accountOf(record, by(before));
      if (write.parent !== null) made.note(record, by(write.parent));
      const told = (account: string, isThere: boolean): FeedEvent => ({
        place,
        of,
        account,
        change: change(isThere),
      });
      return [
        ...(former === undefined ? [] : [told(former, false)]),
        ...(write.parent === null ? [] : [told(by(write.parent)('after'), true)]),
      ];
    });
  });
}
