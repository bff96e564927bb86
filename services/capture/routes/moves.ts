import { descendantsOf, parentsOf } from '../../../shared/catalog/check-account-paths.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { type RecordRef, recordId } from '../../../shared/domain/record-ref.ts';
import { EVERY_ACCOUNT } from '../../../shared/protocol/headers.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { MovedResource, TransactionRouting } from '../changes/transactions.ts';
import type { PgOutputMessage } from '../replication/pgoutput.ts';
import type { WalEntry } from '../replication/stream.ts';
import type { RecordAccounts } from './record-accounts.ts';
import type { RoutedTable } from './routed-tables.ts';

export interface MovesDeps {
  readonly catalog: Catalog;
  readonly accounts: RecordAccounts;
  /** Prepares a reset of the resource. */
  readonly prepareReset: (resource: string) => Promise<void>;
}

/** Finds the accounts whose children change hands when rows of parents change. */
export interface Moves extends Pick<TransactionRouting, 'descendantsOf' | 'movedBy'> {
  /**
   * Notes the references of a row, and the records that it creates, changes or deletes, by its table at this position.
   */
  note(message: RowMessage, table: RoutedTable, commitLsn: Lsn): void;
  /** Reads the accounts of the records that the rows of these entries refer to. */
  resolve(entries: readonly WalEntry[]): Promise<void>;
}

/** Limit of accounts per transaction that get an event of their own about a moved parent. */
const MAX_TOLD_ACCOUNTS = 50;

interface NotedRow {
  readonly commitLsn: Lsn;
  readonly records: readonly RecordRef[];
  readonly references: readonly RecordRef[];
}

export function createMoves({ catalog, accounts, prepareReset }: MovesDeps): Moves {
  const descendants = new Map([...parentsOf(catalog)].map((name) => [name, descendantsOf(catalog, name)]));
  const withDescendants = (names: readonly string[]) =>
    new Set(names.flatMap((name) => [name, ...(descendants.get(name) ?? [])]));
  const rows = new WeakMap<PgOutputMessage, NotedRow>();
  /** The state of one transaction: `done` holds the accounts that have their event, by resource. */
  const told = { commitLsn: -1n, accounts: new Set<string>(), done: new Set<string>() };

  return {
    note(message, table, commitLsn) {
      const { before, after } = table.references(message);
      const read = table.reader?.read(message);
      const keys = new Set([read?.before?.key, read?.after?.key]);
      rows.set(message, {
        commitLsn,
        records: [...keys].flatMap((key) =>
          key === undefined ? [] : [{ resource: table.resource.name, key }],
        ),
        references: [before, after].filter((reference) => reference !== undefined),
      });
    },
    async resolve(entries) {
      const found = entries.flatMap((entry) =>
        entry.kind === 'keepalive' ? [] : (rows.get(entry.message) ?? []),
      );
      const needed = found.flatMap(({ records, references }) => [...records, ...references]);
      await accounts.load(new Map(needed.map((record) => [recordId(record), record])).values());
      const moved = found.flatMap(({ records, commitLsn }) =>
        records.flatMap((record) => accounts.moveOf(record, commitLsn)?.children ?? []),
      );
      for (const name of withDescendants(moved)) await prepareReset(name);
    },
    descendantsOf: (resource) => descendants.get(resource) ?? [],
    movedBy(message) {
      const { records, commitLsn } = rows.get(message) ?? { records: [], commitLsn: 0n };
      const moves = records.flatMap((record) => accounts.moveOf(record, commitLsn) ?? []);
      if (moves.length === 0) return [];
      if (told.commitLsn !== commitLsn) {
        told.commitLsn = commitLsn;
        told.accounts.clear();
        told.done.clear();
      }
      const due: MovedResource[] = [];
      for (const { accounts: moved, children } of moves) {
        for (const account of moved) told.accounts.add(account);
        const named = told.accounts.size > MAX_TOLD_ACCOUNTS ? [EVERY_ACCOUNT] : moved;
        for (const resource of withDescendants(children)) {
          for (const account of named) {
            if (told.done.has(`${resource}/${account}`)) continue;
            told.done.add(`${resource}/${account}`);
            due.push({ resource, account });
          }
        }
      }
      return due;
    },
  };
}
