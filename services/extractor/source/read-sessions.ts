import type { ReadSince } from '../../../shared/control/exports/chunked-reading.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { OpenSourceSession, SessionOptions, SourceSession } from './source-session.ts';

/**
 * Sessions to read with under a new snapshot: on a replica that has caught up if there is one, otherwise on the
 * primary.
 */
export interface ReadSessions {
  /**
   * @param what identifies the read. One that was tried on a replica goes to the primary next time, because a replica
   * may cancel it again and again
   * @param since what the session's snapshots must at least see; undefined for no condition
   */
  open(what: string, options: SessionOptions, since: ReadSince | undefined): Promise<SourceSession>;
}

/** Limit of remembered reads that were tried on replicas. A forgotten one may be tried there again. */
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

  /** @returns undefined for a replica that can't be read from now */
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
        // A Set keeps insertion order, so the first is the oldest.
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

/** On a replica commits become visible in WAL order, before it reports them as replayed. */
async function isReady(session: SourceSession, since: ReadSince): Promise<boolean> {
  const { systemId, timeline } = session.identity;
  if (systemId !== since.systemId || timeline !== since.timeline) return false;
  const { rows } = await session.query(HAS_REPLAYED, [since.lsn]);
  return rows[0]?.is_ready === 'true';
}
