/**
 * Prefixes of the logical messages (`pg_logical_emit_message`) that reach capture through the source's WAL, so that each
 * has its place among the commits. All are transactional, except that `skip` has both forms. Anyone who may write to the
 * database may send one, so capture passes over what it cannot read.
 */
export const WAL_MESSAGES = {
  /** The extractor: an export's seal, `{job_id, token}`. */
  seal: 'tandem.seal',
  /** The extractor and capture: empty, so that a quiet source's feed moves. */
  heartbeat: 'tandem.heartbeat',
  /** The api and bulk: the ID of the bulk job that the rest of the transaction is part of. */
  bulk: 'tandem.bulk',
  /** The api: an `AccountReset`. */
  account: 'tandem.account',
  /** Capture to itself: resources whose feed begins again. */
  reset: 'tandem.reset',
  /** Capture to itself: news of a resource that is set aside. */
  aside: 'tandem.aside',
  /** Capture: nothing; fills the WAL up to a position. */
  skip: 'tandem.skip',
} as const;

/** Resources that one account has to load again: the api says so when its changes were not recorded for a while. */
export interface AccountReset {
  readonly account: string;
  readonly resources: readonly string[];
}

export function formatAccountReset({ account, resources }: AccountReset): string {
  return JSON.stringify({ account, resources });
}

/** Anyone who may write to the database may send such a message, so one that is not a reset is passed over. */
export function readAccountReset(content: string): AccountReset | undefined {
  try {
    const { account, resources } = JSON.parse(content) as { account?: unknown; resources?: unknown };
    const isReset =
      typeof account === 'string' &&
      Array.isArray(resources) &&
      resources.every((each): each is string => typeof each === 'string');
    return isReset ? { account, resources } : undefined;
  } catch {
    return undefined;
  }
}
