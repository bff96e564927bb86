import type { AccountColumn } from './account-columns.ts';
import type { Finding } from './finding.ts';

/**
 * Refuses account columns whose values no text stands for: exports would find an account's rows by PostgreSQL's `=`, and the
 * feed, which has texts, would miss some of them without a word.
 */
export function checkAccounts(columns: readonly AccountColumn[]): Finding[] {
  return columns.flatMap(({ resource, refusal }) =>
    refusal === undefined
      ? []
      : [
          {
            code: 'account_type',
            resource: resource.name,
            message:
              `${resource.account} (account) ${refusal}, so that the feed could miss rows which exports have. ` +
              'Name a column of type text, varchar, char, citext, uuid, integer, numeric or an enum, with a deterministic collation.',
          } as const,
        ],
  );
}
