import { AppError } from '../../../shared/runtime/errors.ts';
import type { Caller } from './caller.ts';
import type { AccountRule } from './route.ts';
import { invalid } from './validate.ts';

/** The operator's name for all accounts at once. */
export const ALL_ACCOUNTS = '*';

/**
 * Resolves the account of a request; null means all accounts.
 *
 * @throws AppError `invalid` when the operator gives no account or an unknown one, or a customer gives an
 *   account; `unauthorized` for an anonymous caller of a route that needs an account
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

/** The account of a route whose rule is `one`. */
export function oneAccount(accountId: string | null): string {
  if (accountId === null) throw new AppError('invalid', 'This request is for one account only.');
  return accountId;
}
