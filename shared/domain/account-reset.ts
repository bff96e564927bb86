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
