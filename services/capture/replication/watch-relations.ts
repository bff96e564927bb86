import type { PgOutputMessage } from './pgoutput.ts';
import type { TableWatch } from './watch-tables.ts';

export interface RelationDeps {
  /** The resource of a table that the stream has described. */
  readonly resourceOf: (relationId: number) => string | undefined;
  readonly widenXid: (xid: number) => bigint;
  readonly watch: Pick<TableWatch, 'checkSoon' | 'recordLeaf'>;
}

/**
 * Follows the stream's descriptions of tables, because a table that is described again may have changed. Changes of a
 * partition are sent as the root's; before them the stream describes the root, and right after it the partition.
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
