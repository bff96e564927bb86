import { comparePositions, type Position } from '../../../shared/domain/position.ts';

/** Accounts remembered for a partition; beyond this all are forgotten, which costs each one look into the log. */
const MAX_ACCOUNTS = 10_000;

/**
 * Remembers which event of each account was recorded last, and so between which events there are no others. That
 * holds only while this process reads the accounts' partition without a break: an account's events all come through one
 * partition, so what was not read here in between was not recorded by anyone else either.
 */
export interface AccountChains {
  /** @returns the last event of the account before those up to `last`, or undefined when it is not known */
  extend(account: string, last: Position): Position | undefined;
}

export function createAccountChains(maxAccounts: number = MAX_ACCOUNTS): AccountChains {
  const chains = new Map<string, Position>();
  return {
    extend(account, last) {
      const before = chains.get(account);
      if (before === undefined && chains.size >= maxAccounts) chains.clear();
      // What comes a second time does not take the end of the chain back.
      if (before === undefined || comparePositions(last, before) > 0) chains.set(account, last);
      return before;
    },
  };
}
