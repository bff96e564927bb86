import type { PgOutputMessage } from '../replication/pgoutput.ts';
import type { TableWatch } from '../replication/watch-tables.ts';
import type { CapturedTable } from './captured-table.ts';
import { isMoveUnsent } from './row-changes.ts';

export interface RelationDeps {
  /** The resource of a table that the stream has described. */
  readonly resourceOf: (relationId: number) => string | undefined;
  readonly widenXid: (xid: number) => bigint;
  /** The table's present version. */
  readonly tableOf: (relationId: number) => CapturedTable | undefined;
  readonly watch: Pick<TableWatch, 'checkSoon' | 'recordLeaf' | 'recordColumns' | 'recordUnsentMove'>;
}

/**
 * Follows the stream's descriptions of tables, because a table that is described again may have changed. Changes of a
 * partition are sent as the root's. Before them the stream describes the root, and right after it the partition.
 */
export function watchRelations({
  resourceOf,
  tableOf,
  widenXid,
  watch,
}: RelationDeps): (message: PgOutputMessage) => void {
  let xid = 0n;
  let lastDescribed: string | undefined;
  return (message) => {
    if (message.kind === 'begin') xid = widenXid(message.xid);
    if (message.kind === 'update') {
      const table = tableOf(message.relationId);
      if (table !== undefined && isMoveUnsent(table, message))
        watch.recordUnsentMove(table.rowType.resource, xid);
    }
    if (message.kind !== 'relation') return;
    const oid = message.id;
    const resource = resourceOf(oid);
    if (resource !== undefined) {
      const names = message.columns.map(({ name }) => name);
      watch.recordColumns({ resource, oid, names, xid });
    } else if (lastDescribed !== undefined) watch.recordLeaf({ resource: lastDescribed, oid, xid });
    lastDescribed = resource;
    watch.checkSoon();
  };
}
