import type { AccountLimiter } from '../../http/account-limiter.ts';

/** The limits for dashboard requests, the same as for requests with a key. */
export type VisitLimiter = Pick<AccountLimiter, 'countKey' | 'admit' | 'run'>;

/** Runs a task as soon as its account may run one more. */
type Run = <Result>(task: () => Promise<Result>) => Promise<Result>;

/**
 * Does the work of a request within the limits of its account. `work` gets the function that runs what needs the control
 * store, once the account may run one more request; before that it may read what the client sends.
 *
 * @param by what the requests of a minute are counted by
 * @throws AppError `too_many`
 */
export async function withinLimits<Result>(
  limiter: VisitLimiter,
  accountId: string,
  by: string,
  work: (run: Run) => Promise<Result>,
): Promise<Result> {
  await limiter.countKey(accountId, by);
  const release = await limiter.admit(accountId, by);
  try {
    return await work(async (task) => {
      const end = await limiter.run(accountId);
      try {
        return await task();
      } finally {
        end();
      }
    });
  } finally {
    release();
  }
}
