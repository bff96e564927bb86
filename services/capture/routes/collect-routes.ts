import { childrenOf, parentsOf } from '../../../shared/catalog/check-account-paths.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { ResetReason } from '../../../shared/domain/change.ts';
import { recordId } from '../../../shared/domain/record-ref.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { accountForm, accountText } from '../../../shared/values/account-form.ts';
import type { AccountSpellings } from '../changes/captured-table.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { PgOutputMessage } from '../replication/pgoutput.ts';
import { readResets } from '../replication/reset-message.ts';
import type { TransactionRoutes } from './reference-counts.ts';
import { RoutesStaleError } from './route-errors.ts';
import { isOwnerUnsaid, type RecordOwner } from './route-reader.ts';
import type { RoutedTable, RoutedTables } from './routed-tables.ts';

export interface RouteCollectorDeps {
  readonly catalog: Catalog;
  readonly tables: RoutedTables;
  readonly spellings: AccountSpellings;
}

/** Reads from a transaction's messages who owns its records, and which records they refer to. */
export interface RouteCollector {
  /** @throws RoutesStaleError when the row does not identify its former owner */
  collect(transaction: TransactionRoutes, table: RoutedTable, message: RowMessage): Promise<void>;
  /** @throws RoutesStaleError when rows have changed without row messages */
  checkWhole(message: PgOutputMessage): void;
}

/** After these resets a child's rows may refer to other records without row messages. */
const REFERENCES_CHANGED: readonly ResetReason[] = ['table_replaced', 'table_rewritten', 'partition_changed'];

export function createRouteCollector({ catalog, tables, spellings }: RouteCollectorDeps): RouteCollector {
  const parents = parentsOf(catalog);
  const children = new Set(childrenOf(catalog).map(({ name }) => name));

  const accountTextOf = async ({ resource, relation, types }: RoutedTable, pgText: string) => {
    const column = relation.columns.find(({ name }) => name === resource.account);
    const { pgName } = types.valueType(column?.typeOid ?? 0, column?.typeModifier ?? -1);
    const text = accountText(accountForm(pgName), pgText) ?? spellings.of(pgText);
    if (text !== undefined) return text;
    await spellings.learn([pgText]);
    return spellings.of(pgText) ?? null;
  };

  const countReferences = (
    references: TransactionRoutes['references'],
    table: RoutedTable,
    message: RowMessage,
  ) => {
    // Without an old version, PostgreSQL guarantees that the identity did not change, and so neither did the reference.
    if (message.kind === 'update' && message.before === null && table.saysOwners()) return;
    const { before, after } = table.references(message);
    if (before !== undefined && after !== undefined && recordId(before) === recordId(after)) return;
    // A reference that the old row does not show is never subtracted, so a count may be too high but never too low.
    if (before !== undefined) references.add(table.resource.name, before, -1);
    if (after !== undefined) references.add(table.resource.name, after, 1);
  };

  return {
    async collect({ commitLsn, routes, references }, table, message) {
      const { resource, reader } = table;
      if (table.misfit !== undefined) throw new RoutesStaleError(table.misfit);
      countReferences(references, table, message);
      if (reader === undefined) return;
      const isPartitionUnsure = !table.saysOwners() && isOwnerUnsaid(resource, table.relation, message);
      if (message.kind !== 'insert' && (!reader.isIdentitySufficient || isPartitionUnsure)) {
        throw new RoutesStaleError(
          `the replica identity of ${resource.name} does not say whose its old rows were: run \`tandem source prepare\``,
        );
      }
      const put = async ({ key, owner }: RecordOwner, isDeleted: boolean) => {
        const isText = typeof resource.account === 'string' && owner !== null;
        const route = { resource: resource.name, key, sinceLsn: commitLsn, isDeleted };
        routes.set(recordId(route), { ...route, owner: isText ? await accountTextOf(table, owner) : owner });
      };
      const { before, after } = reader.read(message);
      if (before !== undefined && before.key !== after?.key) await put(before, true);
      if (after !== undefined) await put(after, false);
    },
    checkWhole(message) {
      if (message.kind === 'truncate') {
        const truncated = message.relationIds
          .map((id) => tables.find(id)?.reader?.resource.name)
          .find((name) => name !== undefined);
        if (truncated !== undefined) throw new RoutesStaleError(`${truncated} was truncated`);
      }
      if (message.kind !== 'message' || !message.isTransactional || message.prefix !== WAL_MESSAGES.reset)
        return;
      const changed = readResets(message.content).find(
        ({ resource, reason, isLossOnly }) =>
          parents.has(resource) ||
          // References that are gone are still counted, so a count may be too high but never too low.
          (children.has(resource) &&
            !isLossOnly &&
            (REFERENCES_CHANGED as readonly string[]).includes(reason)),
      );
      if (changed !== undefined)
        throw new RoutesStaleError(`rows of ${changed.resource} changed without a change of their own`);
    },
  };
}
