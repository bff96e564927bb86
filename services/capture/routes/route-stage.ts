import { childrenOf } from '../../../shared/catalog/check-account-paths.ts';
import type { ReferenceCount, RouteAdditions } from '../../../shared/control/routes.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { RecordRef } from '../../../shared/domain/record-ref.ts';
import { isVisible, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { AccountSpellings } from '../changes/captured-table.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { TransactionRouting } from '../changes/transactions.ts';
import type { PgOutputMessage } from '../replication/pgoutput.ts';
import type { WalEntry } from '../replication/stream.ts';
import { createRouteCollector } from './collect-routes.ts';
import { createMoves } from './moves.ts';
import type { RecordAccounts } from './record-accounts.ts';
import {
  commitOf,
  createReferenceChanges,
  createReferenceCounts,
  type TransactionRoutes,
} from './reference-counts.ts';
import { RoutesStaleError, TransactionToRepeatError } from './route-errors.ts';
import { createRoutedTables, type RoutedTablesDeps } from './routed-tables.ts';

export interface RouteStageDeps extends RoutedTablesDeps {
  /** The catalog without resources whose paths can't be followed. Rows of those are skipped. */
  readonly sound: Catalog;
  /** Whether other paths can be followed than those of `sound`. */
  readonly arePathsChanged: () => boolean;
  readonly accounts: RecordAccounts;
  readonly spellings: AccountSpellings;
  readonly widenXid: (xid: number) => bigint;
  /** The start of the routes. */
  readonly fill: { readonly snapshot: Snapshot; readonly snapshotLsn: Lsn; readonly completeTo: Lsn };
  /** Stores routes, and the position up to which they are complete; undefined leaves it unchanged. */
  readonly store: (additions: RouteAdditions, completeTo: Lsn | undefined) => Promise<void>;
  readonly readCounts: (records: readonly RecordRef[]) => Promise<readonly ReferenceCount[]>;
  /** Marks the routes as unusable for the next session. */
  readonly discard: () => Promise<void>;
  /** Prepares a reset of the resource. */
  readonly prepareReset: (resource: string) => Promise<void>;
  readonly maxHeldBytes?: number;
  readonly maxKept?: number;
}

/**
 * Runs before the transactions are read, and passes entries on once the account of each row in them is known. Within a
 * transaction a parent may follow its child, so a transaction is held from its first row of such a table to its end. A
 * transaction that is too large is first read to its end for its routes only, and then streamed again.
 */
export interface RouteStage extends TransactionRouting {
  /**
   * @returns the entries to continue with, in order
   * @throws RoutesStaleError, TransactionToRepeatError
   */
  ready(entries: readonly WalEntry[]): Promise<WalEntry[]>;
  /** Notes that everything before the position has been passed on. Call it before the position is published. */
  passed(lsn: Lsn): Promise<void>;
}

/** Limit of the held entries of one transaction. They take about four times as much memory. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

/**
 * Limit of the routes and references kept in memory for a transaction that is only read. Those written before its end
 * count as referred to if they were so at its start, which may cause a reset that is not needed.
 */
const MAX_KEPT = 50_000;

interface OpenTransaction extends TransactionRoutes {
  /** The snapshot that the routes were read under sees it. */
  readonly isInFill: boolean;
  /** `through`: its routes are stored. `hold`: held to its end. `scan`: read only for its routes. */
  mode: 'through' | 'hold' | 'scan';
  /** A row came whose account or route is needed. */
  isRouted: boolean;
  hasChildRows: boolean;
  held: WalEntry[];
  heldBytes: number;
}

export function createRouteStage(deps: RouteStageDeps): RouteStage {
  const { catalog, accounts, fill } = deps;
  const maxHeldBytes = deps.maxHeldBytes ?? MAX_HELD_BYTES;
  const maxKept = deps.maxKept ?? MAX_KEPT;
  const children = new Set(childrenOf(catalog).map(({ name }) => name));
  const ofSound = { ...deps, catalog: deps.sound };
  const tables = createRoutedTables(ofSound);
  const collector = createRouteCollector({ ...ofSound, tables });
  const moves = createMoves(deps);
  let open: OpenTransaction | undefined;
  let { completeTo } = fill;
  let storedTo = completeTo;
  let finished: TransactionRoutes[] = [];

  const isInFill = (xid: bigint, commitLsn: Lsn) =>
    commitLsn <= fill.snapshotLsn && isVisible(xid, fill.snapshot);

  /** The changes of routes and counts by these transactions. */
  const additionsOf = async (transactions: readonly TransactionRoutes[]): Promise<RouteAdditions> => {
    const records = transactions.flatMap(({ routes }) => [...routes.values()]);
    const counts = createReferenceCounts(records.length === 0 ? [] : await deps.readCounts(records));
    return {
      routes: transactions.flatMap((transaction) => counts.routesOf(transaction)),
      references: transactions.flatMap(({ references }) => references.all()),
      commits: transactions.map(commitOf),
    };
  };

  const writeFinished = async (): Promise<void> => {
    if (finished.length === 0 && completeTo <= storedTo) return;
    const additions = await additionsOf(finished);
    await deps.store(additions, completeTo);
    finished = [];
    storedTo = completeTo;
    accounts.add(additions.routes);
  };

  /** Writes the routes of a transaction that is only read, before its end, to bound memory. */
  const writeKept = async ({ routes, references, ...transaction }: OpenTransaction): Promise<void> => {
    if (routes.size < maxKept && references.size < maxKept) return;
    await writeFinished();
    const additions = await additionsOf([{ ...transaction, routes, references }]);
    const isCounted = references.size >= maxKept;
    // Written again if the transaction is read again, so counts may only grow.
    const grown = isCounted ? additions.references.filter(({ count }) => count > 0) : [];
    await deps.store({ ...additions, references: grown }, undefined);
    routes.clear();
    if (isCounted) references.clear();
  };

  const add = async (entry: WalEntry, ready: WalEntry[]): Promise<void> => {
    const message = entry.kind === 'keepalive' ? undefined : entry.message;
    if (message?.kind === 'relation') await tables.learn(message);
    if (message?.kind === 'begin') {
      const { commitLsn } = message;
      const xid = deps.widenXid(message.xid);
      open = {
        commitLsn,
        xid,
        isInFill: isInFill(xid, commitLsn),
        mode: commitLsn < completeTo ? 'through' : 'hold',
        isRouted: false,
        hasChildRows: false,
        held: [],
        heldBytes: 0,
        routes: new Map(),
        references: createReferenceChanges(),
      };
    }
    if (open === undefined) {
      ready.push(entry);
      return;
    }
    if (message !== undefined) await read(open, message);
    if (message?.kind === 'commit') await end(open, message.endLsn, entry, ready);
    else if (open.mode === 'scan') return;
    else if (open.mode === 'through' || !open.isRouted) ready.push(entry);
    else {
      open.held.push(entry);
      open.heldBytes += entry.kind === 'keepalive' ? 0 : entry.bytes;
      if (open.heldBytes <= maxHeldBytes) return;
      open.mode = 'scan';
      open.held = [];
    }
  };

  const read = async (transaction: OpenTransaction, message: PgOutputMessage): Promise<void> => {
    if (!transaction.isInFill) collector.checkWhole(message);
    const table = isRow(message) ? tables.find(message.relationId) : undefined;
    if (!isRow(message) || table === undefined) return;
    transaction.isRouted = true;
    if (transaction.isInFill) return;
    if (transaction.mode !== 'through') {
      if (children.has(table.resource.name)) transaction.hasChildRows = true;
      await collector.collect(transaction, table, message);
    }
    if (transaction.mode === 'scan') await writeKept(transaction);
    else moves.note(message, table, transaction.commitLsn);
  };

  const end = async (transaction: OpenTransaction, endLsn: Lsn, commit: WalEntry, ready: WalEntry[]) => {
    open = undefined;
    const { routes, hasChildRows, mode, held } = transaction;
    if (routes.size > 0 || hasChildRows) finished.push(transaction);
    if (endLsn > completeTo) completeTo = endLsn;
    if (mode === 'scan') {
      await writeFinished();
      throw new TransactionToRepeatError(
        'a transaction with rows of parents and children is larger than may be held',
      );
    }
    for (const entry of held) ready.push(entry);
    ready.push(commit);
  };

  return {
    async ready(entries) {
      accounts.trim();
      const ready: WalEntry[] = [];
      try {
        if (deps.arePathsChanged())
          throw new RoutesStaleError(
            'a path can be followed again or no more, or a column of one was made again',
          );
        for (const entry of entries) await add(entry, ready);
      } catch (error) {
        if (error instanceof RoutesStaleError) await deps.discard();
        throw error;
      }
      await writeFinished();
      await moves.resolve(ready);
      return ready;
    },
    async passed(lsn) {
      if (lsn <= completeTo) return;
      await deps.store({ routes: [], references: [], commits: [] }, lsn);
      completeTo = lsn;
      storedTo = lsn;
    },
    isChild: (resource) => children.has(resource),
    isSkipped: isInFill,
    descendantsOf: moves.descendantsOf,
    movedBy: moves.movedBy,
  };
}

function isRow(message: PgOutputMessage): message is RowMessage {
  return message.kind === 'insert' || message.kind === 'update' || message.kind === 'delete';
}
