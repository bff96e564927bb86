import type { ReadSince } from '../../../shared/control/exports/chunked-reading.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { OpenSourceSession, SessionOptions, SourceSession } from './source-session.ts';

/** Sessions to read with under a snapshot of their own: on a replica if there is one that has caught up, otherwise on the primary. */
export interface ReadSessions {
  /**
   * @param what is read. What a replica was given once goes to the primary the next time, because a replica may cancel a read
   *   again and again
   * @param since what the session's snapshots must see at least; undefined for any
   */
  open(what: string, options: SessionOptions, since: ReadSince | undefined): Promise<SourceSession>;
}

/** Reads in memory that replicas were given; a forgotten one may be tried there again. */
const MAX_GIVEN = 10_000;

const HAS_REPLAYED = 'select (pg_last_wal_replay_lsn() >= $1::pg_lsn)::text as is_ready';

/** The replicas take turns. */
export function createReadSessions(
  openPrimary: OpenSourceSession,
  replicas: readonly OpenSourceSession[],
  log: Log,
): ReadSessions {
  const given = new Set<string>();
  let turn = 0;

  /** @returns undefined for a replica that is not to be read from now */
  async function openReplica(
    open: OpenSourceSession,
    options: SessionOptions,
    since: ReadSince | undefined,
  ): Promise<SourceSession | undefined> {
    let session: SourceSession | undefined;
    try {
      session = await open(options);
      if (since === undefined || (await isReady(session, since))) return session;
      log.info('replica.behind', { purpose: options.purpose });
    } catch (error) {
      log.warn('replica.passed_over', { purpose: options.purpose, error });
    }
    await session?.[Symbol.asyncDispose]();
    return undefined;
  }

  return {
    async open(what, options, since) {
      if (given.has(what)) return openPrimary(options);
      for (let tried = 0; tried < replicas.length; tried += 1) {
        turn += 1;
        const open = replicas[turn % replicas.length];
        const session = open && (await openReplica(open, options, since));
        if (session === undefined) continue;
        given.add(what);
        // A Set keeps the order of insertion, so the first is the oldest.
        for (const oldest of given) {
          if (given.size <= MAX_GIVEN) break;
          given.delete(oldest);
        }
        return session;
      }
      return openPrimary(options);
    },
  };
}

/** Commits become visible on a replica in the order of the WAL, before it says that it has replayed them. */
async function isReady(session: SourceSession, since: ReadSince): Promise<boolean> {
  const { systemId, timeline } = session.identity;
  if (systemId !== since.systemId || timeline !== since.timeline) return false;
  const { rows } = await session.query(HAS_REPLAYED, [since.lsn]);
  return rows[0]?.is_ready === 'true';
}
