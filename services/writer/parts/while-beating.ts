/** Well below the group's session timeout of 10 s. kafkajs itself sends no more than one heartbeat per interval. */
const HEARTBEAT_EVERY_MS = 1_500;

/**
 * Runs slow work (a sync on a busy disk, a control store that restarts) while telling the group that this member
 * is alive; kafkajs does not, while a batch is in hand. A heartbeat that fails is not thrown from here, where it would
 * hide that the work was done: the group says the same to the next one.
 */
export async function whileHeartbeating<T>(
  heartbeat: () => Promise<void>,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setInterval(() => {
    heartbeat().catch(() => undefined);
  }, HEARTBEAT_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
