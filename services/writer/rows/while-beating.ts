/** Well below the group's session timeout of 10 s. kafkajs itself sends no more than one heartbeat per interval. */
const BEAT_EVERY_MS = 1_500;

/**
 * Runs slow work (a sync on a busy disk, a control store that restarts) while telling the group that this member
 * is alive; kafkajs does not, while a batch is in hand.
 *
 * @throws what the work throws, or else what a heartbeat threw meanwhile: the group moved on without this member
 */
export async function whileBeating<T>(heartbeat: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  let failure: { error: unknown } | undefined;
  const timer = setInterval(() => {
    heartbeat().catch((error: unknown) => {
      failure ??= { error };
    });
  }, BEAT_EVERY_MS);
  try {
    const result = await work();
    if (failure !== undefined) throw failure.error;
    return result;
  } finally {
    clearInterval(timer);
  }
}
