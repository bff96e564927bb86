export type FindingCode =
  | 'server_too_old'
  | 'hot_standby'
  | 'wal_level'
  | 'missing_table'
  | 'not_a_table'
  | 'not_logged'
  | 'partition'
  | 'inherited_table'
  | 'row_security'
  | 'missing_right'
  | 'missing_column'
  | 'generated_column'
  | 'wrong_type'
  | 'never_null'
  | 'no_key'
  | 'account_type'
  | 'account_path'
  | 'where'
  | 'replica_identity'
  | 'as_of'
  | 'publication';

/** One reason why the catalog and the database do not go together. */
export interface Finding {
  readonly code: FindingCode;
  /** `undefined` when it concerns the database as a whole. */
  readonly resource: string | undefined;
  /** What is wrong and why it matters, in one sentence or two. */
  readonly message: string;
  /** The statement that puts it right, where one does. */
  readonly sql?: string;
  /** The same, one by one, where each has to run by itself. */
  readonly steps?: readonly string[];
}

/** A finding as one line of a `SetupError`. */
export function showFinding({ resource, message, sql }: Finding): string {
  const remedy = sql === undefined ? '' : ` Run: ${sql};`;
  return `${resource === undefined ? '' : `${resource}: `}${message}${remedy}`;
}
