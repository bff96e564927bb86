import { SourceSessionLostError, type TableWantedError } from '../extraction-errors.ts';
import type { OpenSourceSession, SessionOptions, SourceSession } from './source-session.ts';

/** A session with several users. It is left clean, and ends, once the last user has disposed of it. */
export interface SharedSession {
  /** @throws SourceSessionLostError when the last user has already disposed of it */
  lend(onLost: SessionOptions['onLost']): SourceSession;
}

/**
 * @param open opens the shared session
 * @param close leaves it clean, when the last user is done
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
      // Each use has an entry of its own, because one user may borrow twice.
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
            // It is not clean, so its connection is not used again.
          }
          await session[Symbol.asyncDispose]();
        },
      };
    },
  };
}
