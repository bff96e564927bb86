import { SourceSessionLostError, type TableWantedError } from '../extraction-errors.ts';
import type { OpenSourceSession, SessionOptions, SourceSession } from './source-session.ts';

/** A session that several users have, each as its own. It is left clean, and ends, once the last of them has disposed of it. */
export interface SharedSession {
  /** @throws SourceSessionLostError when the last user has disposed of it meanwhile */
  lend(onLost: SessionOptions['onLost']): SourceSession;
}

/**
 * @param open opens what is shared
 * @param close leaves it clean, once nobody has it any more
 */
export async function shareSession(
  open: OpenSourceSession,
  options: Omit<SessionOptions, 'onLost'>,
  close: (session: SourceSession) => Promise<void>,
): Promise<SharedSession> {
  const users = new Set<SessionOptions['onLost']>();
  let lost: SourceSessionLostError | TableWantedError | undefined;
  let isOver = false;
  const session = await open({
    ...options,
    onLost(error) {
      lost = error;
      for (const tell of users) tell(error);
    },
  });
  return {
    lend(onLost) {
      // Its connection may serve another session by now.
      if (isOver)
        throw new SourceSessionLostError(options.purpose, { cause: new Error('it is disposed of') });
      // Each has an entry of its own, although one may use it twice.
      const tell: SessionOptions['onLost'] = (error) => onLost(error);
      users.add(tell);
      if (lost !== undefined) tell(lost);
      return {
        ...session,
        leaveClean: () => undefined,
        async [Symbol.asyncDispose]() {
          if (!users.delete(tell) || users.size > 0) return;
          isOver = true;
          try {
            if (lost === undefined) {
              await close(session);
              session.leaveClean();
            }
          } catch {
            // It is not clean, so nobody else gets its connection.
          }
          await session[Symbol.asyncDispose]();
        },
      };
    },
  };
}
