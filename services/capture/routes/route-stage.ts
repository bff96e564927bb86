import { childrenOf, descendantsOf, parentsOf } from '../../../shared/catalog/check-account-paths.ts';
import type { Route } from '../../../shared/control/routes.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { isVisible, type Snapshot } from '../../../shared/domain/snapshot.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { accountForm, accountText } from '../../../shared/values/account-form.ts';
import { referenceText } from '../../../shared/values/reference-text.ts';
import type { AccountSpellings, RowVersion, ValueTypes } from '../changes/captured-table.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { TransactionRouting } from '../changes/transactions.ts';
import type { PgOutputMessage, RelationMessage } from '../replication/pgoutput.ts';
import { readResets } from '../replication/reset-message.ts';
import type { WalEntry } from '../replication/stream.ts';
import type { RecordAccounts, RecordRef } from './record-accounts.ts';
import { createRouteReader, isOwnerUnsaid, type RouteReader, saysOwners } from './route-reader.ts';

/** The routes no longer follow from what was streamed: the next session reads them from the source again. */
export class RoutesStaleError extends Error {
  override readonly name = 'RoutesStaleError';
}

/** All routes of a transaction that does not fit into memory are stored by now: it has to be streamed again. */
export class TransactionToRepeatError extends Error {
  override readonly name = 'TransactionToRepeatError';
}

export interface RouteStageDeps {
  readonly catalog: Catalog;
  readonly accounts: RecordAccounts;
  readonly loadTypes: () => Promise<ValueTypes>;
  readonly isPartitioned: (relationId: number) => Promise<boolean>;
  readonly spellings: AccountSpellings;
  readonly widenXid: (xid: number) => bigint;
  /** What the routes begin with. */
  readonly fill: { readonly snapshot: Snapshot; readonly snapshotLsn: Lsn; readonly completeTo: Lsn };
  /** Stores routes, and up to where they are complete; undefined: as far as before. */
  readonly store: (routes: readonly Route[], completeTo: Lsn | undefined) => Promise<void>;
  /** Makes the routes unusable for the next session. */
  readonly discard: () => Promise<void>;
  /** Gets ready for a reset of the resource. */
  readonly prepareReset: (resource: string) => Promise<void>;
  /** Whether a foreign key that a path follows is gone, or was made again. */
  readonly areKeysChanged: () => boolean;
  readonly log: Log;
  readonly maxHeldBytes?: number;
}

/**
 * Stands before the transactions: hands on what was streamed once the account of each row in it is known. A parent may come behind its
 * child in a transaction, so a transaction is held from its first row of such a table until its end. One that is too large for that
 * is read to its end for its routes, and then streamed again.
 */
export interface RouteStage extends TransactionRouting {
  /**
   * @returns the entries to go on with, in order
   * @throws RoutesStaleError, TransactionToRepeatError
   */
  ready(entries: readonly WalEntry[]): Promise<WalEntry[]>;
  /** Everything before the position has been handed on. To be called before the position is published. */
  passed(lsn: Lsn): Promise<void>;
}

/** Held of one transaction: some four times as much in memory. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

/** Routes that are written at once of a transaction that is only read. */
const MAX_ROUTES = 5_000;

/** Accounts of one transaction that are told one by one that a parent has moved. */
const MAX_TOLD_ACCOUNTS = 50;

/** A table of a parent or of a child, as the stream describes it. */
interface RoutedTable {
  /** Of a parent. */
  readonly reader: RouteReader | undefined;
  readonly relation: RelationMessage;
  readonly types: ValueTypes;
  /** Why its rows do not say whose they are: the table has not the columns that the catalog names. */
  readonly misfit: string | undefined;
  /** Of a partitioned parent: whether the old rows of each partition say whose they were, by its own replica identity. */
  readonly partitions: Map<number, boolean> | undefined;
}

interface RoutedRow {
  readonly commitLsn: Lsn;
  /** The parent that the row is now, where its key or its owner may have changed. */
  readonly record: RecordRef | undefined;
  readonly references: readonly { readonly record: RecordRef; readonly version: RowVersion }[];
}

interface OpenTransaction {
  readonly commitLsn: Lsn;
  /** The routes begin with what it did. */
  readonly isInFill: boolean;
  /** `through`: its routes are stored. `hold`: until its end. `scan`: only for its routes. */
  mode: 'through' | 'hold' | 'scan';
  /** A row came whose account or route has to be known. */
  isRouted: boolean;
  held: WalEntry[];
  heldBytes: number;
  routes: Map<string, Route>;
}

export function createRouteStage(deps: RouteStageDeps): RouteStage {
  const { catalog, accounts, spellings, fill } = deps;
  const maxHeldBytes = deps.maxHeldBytes ?? MAX_HELD_BYTES;
  const parents = parentsOf(catalog);
  const children = new Map(childrenOf(catalog).map((child) => [child.name, child]));
  const descendants = new Map([...parents].map((name) => [name, descendantsOf(catalog, name)]));
  const readers = new Map<number, RoutedTable>();
  let open: OpenTransaction | undefined;
  let { completeTo } = fill;
  let written: Route[] = [];

  const isInFill = (xid: number, commitLsn: Lsn) =>
    commitLsn <= fill.snapshotLsn && isVisible(deps.widenXid(xid), fill.snapshot);

  const resourceNamed = (relation: RelationMessage) =>
    catalog.resources.find(({ table }) => table.schema === relation.schema && table.name === relation.name);

  let lastDescribed: RoutedTable | undefined;

  const learn = async (relation: RelationMessage) => {
    const known = readers.get(relation.id);
    readers.delete(relation.id);
    const resource = resourceNamed(relation);
    // Rows of a partition come as their root's, which is described right before it.
    if (resource === undefined && lastDescribed?.reader !== undefined) {
      lastDescribed.partitions?.set(relation.id, saysOwners(lastDescribed.reader.resource, relation));
    }
    lastDescribed = undefined;
    if (resource === undefined || !(parents.has(resource.name) || children.has(resource.name))) return;
    const types = await deps.loadTypes();
    const isWhole = !parents.has(resource.name) || !(await deps.isPartitioned(relation.id));
    const partitions = isWhole ? undefined : (known?.partitions ?? new Map<number, boolean>());
    try {
      const reader = parents.has(resource.name) ? createRouteReader(resource, relation, types) : undefined;
      readers.set(relation.id, { reader, relation, types, misfit: undefined, partitions });
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      readers.set(relation.id, { reader: undefined, relation, types, misfit: error.message, partitions });
    }
    lastDescribed = readers.get(relation.id);
  };

  const stale = async (why: string): Promise<never> => {
    await deps.discard();
    throw new RoutesStaleError(why);
  };

  const accountTextOf = async (found: RoutedTable, pgText: string) => {
    const { account } = found.reader?.resource ?? {};
    const column = found.relation.columns.find(({ name }) => name === account);
    const { pgName } = found.types.valueType(column?.typeOid ?? 0, column?.typeModifier ?? -1);
    const text = accountText(accountForm(pgName), pgText) ?? spellings.of(pgText);
    if (text !== undefined) return text;
    await spellings.learn([pgText]);
    return spellings.of(pgText) ?? null;
  };

  /** Collects what a row of a parent's table says. */
  const collect = async (transaction: OpenTransaction, message: RowMessage): Promise<void> => {
    const found = readers.get(message.relationId);
    const reader = found?.reader;
    if (found === undefined || transaction.isInFill || transaction.mode === 'through') return;
    if (found.misfit !== undefined) await stale(found.misfit);
    if (reader === undefined) return;
    const { resource } = reader;
    const isPartitionUnsure =
      [...(found.partitions?.values() ?? [])].includes(false) &&
      isOwnerUnsaid(resource, found.relation, message);
    if (message.kind !== 'insert' && (!reader.isIdentitySufficient || isPartitionUnsure)) {
      await stale(
        `the replica identity of ${resource.name} does not say whose its old rows were: run \`tandem source prepare\``,
      );
    }
    const { before, after } = reader.read(message);
    const put = async (record: { key: string; owner: string | null }, isDeleted: boolean) => {
      const isRoot = typeof resource.account === 'string';
      const owner = isRoot && record.owner !== null ? await accountTextOf(found, record.owner) : record.owner;
      const { key } = record;
      transaction.routes.set(`${resource.name}/${key}`, {
        resource: resource.name,
        key,
        sinceLsn: transaction.commitLsn,
        owner,
        isDeleted,
      });
    };
    if (before !== undefined && before.key !== after?.key) await put(before, true);
    if (after !== undefined) await put(after, false);
    if (transaction.mode === 'scan' && transaction.routes.size >= MAX_ROUTES) {
      await deps.store([...transaction.routes.values()], undefined);
      transaction.routes.clear();
    }
  };

  const add = async (entry: WalEntry, ready: WalEntry[]): Promise<void> => {
    const message = entry.kind === 'keepalive' ? undefined : entry.message;
    if (message?.kind === 'relation') await learn(message);
    if (message?.kind === 'begin') {
      const { commitLsn, xid } = message;
      const mode = commitLsn < completeTo ? 'through' : 'hold';
      open = {
        commitLsn,
        isInFill: isInFill(xid, commitLsn),
        mode,
        isRouted: false,
        held: [],
        heldBytes: 0,
        routes: new Map(),
      };
    }
    if (open === undefined) {
      ready.push(entry);
      return;
    }
    if (message !== undefined && isRow(message) && readers.has(message.relationId)) {
      open.isRouted = true;
      await collect(open, message);
      if (open.mode !== 'scan') note(open, message);
    }
    if (
      message?.kind === 'message' &&
      message.isTransactional &&
      message.prefix === WAL_MESSAGES.reset &&
      !open.isInFill
    ) {
      const [moved] = readResets(message.content).filter(({ resource }) => parents.has(resource));
      if (moved !== undefined) await stale(`rows of ${moved.resource} changed without a change of their own`);
    }
    if (message?.kind === 'truncate' && !open.isInFill) {
      const named = message.relationIds.map((id) => readers.get(id)?.reader?.resource.name);
      const truncated = named.find((name) => name !== undefined);
      if (truncated !== undefined) await stale(`${truncated} was truncated`);
    }
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

  const end = async (transaction: OpenTransaction, endLsn: Lsn, commit: WalEntry, ready: WalEntry[]) => {
    open = undefined;
    const routes = [...transaction.routes.values()];
    if (transaction.mode === 'scan') {
      await deps.store([...written, ...routes], endLsn);
      throw new TransactionToRepeatError(
        'a transaction with rows of parents and children is larger than may be held',
      );
    }
    for (const route of routes) written.push(route);
    ready.push(...transaction.held, commit);
    if (endLsn > completeTo) completeTo = endLsn;
  };

  /** What was found in a row when it came, by the table as it was then. */
  const rows = new WeakMap<PgOutputMessage, RoutedRow>();

  const note = (transaction: OpenTransaction, message: RowMessage): void => {
    const found = readers.get(message.relationId);
    if (found === undefined || transaction.isInFill) return;
    const { commitLsn } = transaction;
    const after = found.reader?.read(message).after;
    const record =
      after === undefined || found.reader === undefined
        ? undefined
        : { resource: found.reader.resource.name, key: after.key };
    rows.set(message, { commitLsn, record, references: referencesOf(found, message) });
  };

  const referencesOf = ({ relation, types }: RoutedTable, message: RowMessage): RoutedRow['references'] => {
    const child = children.get(resourceNamed(relation)?.name ?? '');
    if (child === undefined) return [];
    const { columns, parent } = child.account;
    const places = columns.map((name) => relation.columns.findIndex((column) => column.name === name));
    const names = places.map((at) => {
      const column = relation.columns[at];
      return column === undefined ? '' : types.valueType(column.typeOid, column.typeModifier).pgName;
    });
    const old = message.kind === 'insert' ? undefined : message.before?.values;
    const versions = [
      { version: 'before' as const, tuple: old, other: undefined },
      { version: 'after' as const, tuple: message.kind === 'delete' ? undefined : message.after, other: old },
    ];
    return versions.flatMap(({ version, tuple, other }) => {
      if (tuple === undefined) return [];
      const texts = places.map((at) => tuple[at] ?? (tuple[at] === null ? null : (other?.[at] ?? null)));
      const key = referenceText(texts, names);
      return key === null ? [] : [{ record: { resource: parent.name, key }, version }];
    });
  };

  /** Reads what the rows of these entries refer to. A record that is not there is kept as nobody's, so that it is noticed when it comes. */
  const resolve = async (entries: readonly WalEntry[]): Promise<void> => {
    const found = entries.flatMap((entry) =>
      entry.kind === 'keepalive' ? [] : (rows.get(entry.message) ?? []),
    );
    const needed = new Map<string, RecordRef>();
    for (const { record, references } of found) {
      for (const ref of [
        ...(record === undefined ? [] : [record]),
        ...references.map((each) => each.record),
      ]) {
        needed.set(`${ref.resource}/${ref.key}`, ref);
      }
    }
    await accounts.load(needed.values());
    const absent = new Map<string, Route>();
    for (const { commitLsn, references } of found) {
      for (const { record, version } of references) {
        if (version === 'before' || !accounts.isUnknown(record, commitLsn)) continue;
        // One that was deleted stays so: what referred to it for a moment did not stay, and its key's next record has not moved.
        const isDeleted = accounts.wasDeleted(record, commitLsn);
        const route = { ...record, sinceLsn: commitLsn, owner: null, isDeleted };
        absent.set(`${record.resource}/${record.key}`, route);
      }
    }
    if (absent.size > 0) {
      reportAbsent(absent.values());
      await deps.store([...absent.values()], undefined);
      accounts.add([...absent.values()]);
    }
    const moved = new Set<string>();
    for (const { commitLsn, record } of found) {
      if (record === undefined || accounts.moveOf(record, commitLsn) === undefined) continue;
      for (const name of descendants.get(record.resource) ?? []) moved.add(name);
    }
    for (const name of moved) await deps.prepareReset(name);
  };

  const reported = new Set<string>();
  const reportAbsent = (records: Iterable<RecordRef>) => {
    for (const { resource } of records) {
      if (reported.has(resource)) continue;
      reported.add(resource);
      deps.log.error('routes.parent_unknown', {
        resource,
        effect: "records that refer to such a record are nobody's until it comes",
        remedy: `if ${resource} is not in the publication, run \`tandem source prepare\`; none if a session deferred or bypassed its foreign keys`,
      });
    }
  };

  /** Of one transaction: `done` are the accounts that were told, by the resource of the parent. */
  const told = { commitLsn: -1n, accounts: new Set<string>(), done: new Set<string>() };

  return {
    async ready(entries) {
      if (deps.areKeysChanged()) await stale('a foreign key that a path follows was dropped or made again');
      accounts.trim();
      const ready: WalEntry[] = [];
      const before = completeTo;
      for (const entry of entries) await add(entry, ready);
      if (written.length > 0 || completeTo > before) {
        const routes = written;
        written = [];
        await deps.store(routes, completeTo);
        accounts.add(routes);
      }
      await resolve(ready);
      return ready;
    },
    async passed(lsn) {
      if (lsn <= completeTo) return;
      await deps.store([], lsn);
      completeTo = lsn;
    },
    isChild: (resource) => children.has(resource),
    isSkipped: (xid, commitLsn) => commitLsn <= fill.snapshotLsn && isVisible(xid, fill.snapshot),
    descendantsOf: (resource) => descendants.get(resource) ?? [],
    accountsMovedBy(message) {
      const { record, commitLsn } = rows.get(message) ?? { record: undefined, commitLsn: 0n };
      const moved = record && accounts.moveOf(record, commitLsn);
      if (record === undefined || moved === undefined) return [];
      if (told.commitLsn !== commitLsn) {
        told.commitLsn = commitLsn;
        told.accounts.clear();
        told.done.clear();
      }
      const named = moved.filter((account) => account !== '');
      for (const account of named) told.accounts.add(account);
      const isToldAll = told.accounts.size > MAX_TOLD_ACCOUNTS;
      const due = (isToldAll ? ['*'] : named).filter(
        (account) => !told.done.has(`${record.resource}/${account}`),
      );
      for (const account of due) told.done.add(`${record.resource}/${account}`);
      return due;
    },
  };
}

function isRow(message: PgOutputMessage): message is RowMessage {
  return message.kind === 'insert' || message.kind === 'update' || message.kind === 'delete';
}
