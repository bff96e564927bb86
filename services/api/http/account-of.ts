import { AppError } from '../../../shared/runtime/errors.ts';
import type { Caller } from './caller.ts';
import type { AccountRule } from './route.ts';
import { invalid } from './validate.ts';

/** The operator's word for all accounts at once. */
export const ALL_ACCOUNTS = '*';

/**
 * Decides whose data a request works on; null means all accounts.
 *
 * @throws AppError `invalid` when the operator named no account, or none that exists, or a customer named one
 */
export async function accountOf(
  caller: Caller,
  rule: AccountRule,
  named: { pointer: string; accountId: string | undefined },
  exists: (accountId: string) => Promise<boolean>,
): Promise<string | null> {
  const { pointer, accountId } = named;
  if (caller.kind === 'account') {
    if (accountId === undefined || accountId === caller.accountId) return caller.accountId;
    throw invalid([{ pointer, detail: 'only the operator may give an account' }]);
  }
  if (rule === 'none') return null;
  if (caller.kind === 'anonymous')
    throw new AppError('unauthorized', 'This request is for one account, by its key.');
  if (accountId === undefined) {
    if (rule === 'any') return null;
    throw invalid([{ pointer, detail: 'the operator must give an account' }]);
  }
  if (accountId === ALL_ACCOUNTS) {
    if (rule !== 'one') return null;
    throw invalid([{ pointer, detail: 'must be one account, not all accounts' }]);
  }
  if (!(await exists(accountId))) throw invalid([{ pointer, detail: 'there is no such account' }]);
  return accountId;
}

/** For routes whose rule is `one`. */
export function oneAccount(accountId: string | null): string {
  if (accountId === null) throw new AppError('invalid', 'This request is for one account only.');
  return accountId;
}
