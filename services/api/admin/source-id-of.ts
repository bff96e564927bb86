import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { findAccount } from './accounts.ts';

/** The account's one text. @throws AppError `not_found`; `conflict` for an account that is another one spelled otherwise */
export async function sourceIdOf(db: Queryable, accountId: string): Promise<string> {
  const account = await findAccount(db, accountId);
  if (account === undefined) throw new AppError('not_found', `There is no account ${accountId}.`);
  if (account.twin_of !== null) {
    throw new AppError(
      'conflict',
      `The account ${accountId} has the same records as ${account.twin_of}, which records their changes: ` +
        'ask the operator for a key of that account.',
    );
  }
  return account.source_id;
}
