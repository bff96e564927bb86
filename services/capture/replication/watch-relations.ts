import type { PgOutputMessage } from './pgoutput.ts';
import type { TableWatch } from './watch-tables.ts';

export interface RelationDeps {
  /** The resource of a table that came by. */
  readonly resourceOf: (relationId: number) => string | undefined;
  readonly widenXid: (xid: number) => bigint;
  readonly watch: Pick<TableWatch, 'checkSoon' | 'recordLeaf'>;
}

/**
 * Follows the stream's descriptions of tables, each after it was learned: what is described again may be another table. Changes of
 * a partition are sent as the root's, and ahead of them the root is described, and right behind it the partition.
 */
export function watchRelations({
  resourceOf,
  widenXid,
  watch,
}: RelationDeps): (message: PgOutputMessage) => void {
  let xid = 0n;
  let lastDescribed: string | undefined;
  return (message) => {
    if (message.kind === 'begin') xid = widenXid(message.xid);
    if (message.kind !== 'relation') return;
    const resource = resourceOf(message.id);
    if (resource === undefined && lastDescribed !== undefined) {
      watch.recordLeaf({ resource: lastDescribed, oid: message.id, xid });
    }
    lastDescribed = resource;
    watch.checkSoon();
  };
}
