import type { Pool } from 'pg';
import { childrenOf } from '../../../shared/catalog/check-account-paths.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { isOutOfOrder } from '../../../shared/control/routes.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { EVERY_ACCOUNT } from '../../../shared/protocol/headers.ts';
import { formatAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { SourceSession } from '../source/source-session.ts';
import type { HeldSnapshot } from './take-snapshot.ts';

/**
 * Reports children whose snapshot and feed may disagree. Without a foreign key, a snapshot may see a child and not the
 * parent that committed just before it, or the other way round. The export then holds what the join finds, while the
 * feed follows the order of commits. So the account is told to load the children again. Call it once the feed has
 * passed the seal, when everything up to there is known.
 *
 * @param startLsn the settled position from before the snapshot, which sees everything committed up to it
 */
export async function tellOutOfOrder(
  sealing: SourceSession,
  control: Pool,
  claim: ClaimedExport,
  resources: readonly Resource[],
  { snapshot, lsn }: Pick<HeldSnapshot, 'snapshot' | 'lsn'>,
  startLsn: Lsn,
  log: Log,
): Promise<void> {
  const children = childrenOf({ name: '', resources }).map(({ name }) => name);
  if (children.length === 0) return;
  if (!(await isOutOfOrder(control, [{ snapshot, from: startLsn, to: parseLsn(lsn) }]))) return;
  const account = claim.accountSourceId ?? EVERY_ACCOUNT;
  await sealing.query('select pg_logical_emit_message(true, $1, $2)', [
    WAL_MESSAGES.account,
    formatAccountReset({ account, resources: children }),
  ]);
  log.warn('export.out_of_order', {
    exportId: claim.id,
    resources: children,
    effect: 'subscribers of the account get feed.reset (changes_lost) for these resources',
  });
}
