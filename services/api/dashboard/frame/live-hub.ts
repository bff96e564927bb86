import { AppError } from '../../../../shared/runtime/errors.ts';
import type { Log } from '../../../../shared/runtime/log.ts';
import type { Worker } from '../../../../shared/runtime/worker.ts';
import type { AccountLimiter } from '../../http/account-limiter.ts';
import { limitedAccountOf } from '../../http/caller.ts';
import { createConcurrencyLimiter, type Release } from '../../http/concurrency-limiter.ts';
import type { LiveState } from './live.ts';
import { createLiveChannel, type LiveChannel, type LiveReading } from './live-channel.ts';
import { createLiveStream, type LiveStream } from './live-stream.ts';
import type { Visitor } from './visitor.ts';

/** Somebody who looks at a page that moves. */
export interface Viewer {
  readonly session: Visitor;
  /** Names what is seen, by all that it depends on besides the session: page, query and language. */
  readonly page: string;
  /** Reads what the page shows, with the rights of the session, as of now. */
  read(): Promise<LiveReading>;
}

/**
 * What moves on the pages that are open. Viewers who see the same share one reading in each interval, whatever their number.
 * The sessions of all streams are checked in one statement.
 */
export interface LiveHub {
  /** What is live now. @throws AppError what the API refuses with */
  poll(viewer: Viewer): Promise<LiveState>;
  /**
   * A stream of changes. Undefined where no stream is free: the page polls.
   *
   * @param lastEventId of a stream that broke off: what its page has is not sent again
   * @throws AppError what the API refuses with
   */
  open(viewer: Viewer, lastEventId: string | undefined): Promise<LiveStream | undefined>;
  /** Ends all streams, and opens no other. */
  close(): void;
  /** Closes when the process stops, so that it does not wait for those who look. */
  readonly worker: Worker;
}

export interface LiveLimits {
  readonly perSession: number;
  readonly perAccount: number;
  readonly perProcess: number;
  /** Different pages of one account that are read for more than one request. */
  readonly pagesPerAccount: number;
  /** Less than a second, in which a revoked session ends. */
  readonly checkEveryMs: number;
  /** A stream on which nothing was sent for this long shows that it lives. */
  readonly beatMs: number;
}

/**
 * A browser has six connections to a server with HTTP/1.1: three streams leave half of them. All streams together leave
 * half of the listener's connections.
 */
export const LIVE_LIMITS: LiveLimits = {
  perSession: 3,
  perAccount: 600,
  perProcess: 2_000,
  pagesPerAccount: 100,
  checkEveryMs: 800,
  beatMs: 15_000,
};

/** Checks in a row that fail before all streams end: their sessions may have ended. */
const MAX_FAILED_CHECKS = 5;

export interface LiveHubDeps {
  /** Those of these sessions that have not ended. */
  findActive(sessionIds: readonly string[]): Promise<ReadonlySet<string>>;
  readonly limiter: Pick<AccountLimiter, 'run'>;
  readonly log: Log;
  readonly limits?: Partial<LiveLimits>;
}

interface Page {
  /** Whose pages these are. */
  readonly owner: string;
  readonly channel: LiveChannel;
}

export function createLiveHub({ findActive, limiter, log, limits = {} }: LiveHubDeps): LiveHub {
  const { perSession, perAccount, perProcess, pagesPerAccount, checkEveryMs, beatMs } = {
    ...LIVE_LIMITS,
    ...limits,
  };
  const ofSession = createConcurrencyLimiter({ perAccount: perSession }, noStream);
  const ofAccount = createConcurrencyLimiter({ perAccount, max: perProcess }, noStream);
  const pages = new Map<string, Page>();
  const open = new Map<LiveStream, string>();
  let isClosed = false;
  let checking: NodeJS.Timeout | undefined;
  let failedChecks = 0;

  /** @returns undefined for one page more of an account than are shared */
  function channelOf({ session, page }: Viewer): LiveChannel | undefined {
    const key = `${sharedBy(session)} ${page}`;
    const known = pages.get(key);
    if (known !== undefined) return known.channel;
    const owner = ownerOf(session);
    const count = [...pages.values()].filter((each) => each.owner === owner).length;
    if (count >= pagesPerAccount) return undefined;
    const channel = createLiveChannel(
      () => pages.delete(key),
      (error) => log.warn('live.not_read', { error }),
    );
    pages.set(key, { owner, channel });
    return channel;
  }

  /** Readings run within the limit of the account, as its requests do. */
  const readingOf = (viewer: Viewer) => async () => {
    const end = await limiter.run(limitedAccountOf(viewer.session.caller));
    try {
      return await viewer.read();
    } finally {
      end();
    }
  };

  async function admit({ session }: Viewer): Promise<Release | undefined> {
    const releases: Release[] = [];
    const release = () => {
      for (const each of releases) each();
    };
    try {
      releases.push(await ofSession.acquire(session.id));
      releases.push(await ofAccount.acquire(ownerOf(session)));
      return release;
    } catch {
      release();
      return undefined;
    }
  }

  function scheduleCheck(): void {
    checking = setTimeout(() => void check(), checkEveryMs).unref();
  }

  async function check(): Promise<void> {
    const checked = [...open];
    try {
      const active = await findActive([...new Set(checked.map(([, id]) => id))]);
      failedChecks = 0;
      for (const [stream, id] of checked) if (!active.has(id)) stream.end('over');
    } catch (error) {
      failedChecks += 1;
      log.warn('live.check_failed', { error });
      if (failedChecks >= MAX_FAILED_CHECKS) for (const [stream] of checked) stream.end();
    }
    for (const stream of open.keys()) if (stream.quietMs() >= beatMs) stream.send('beat');
    checking = undefined;
    if (open.size > 0) scheduleCheck();
  }

  function close(): void {
    isClosed = true;
    for (const stream of open.keys()) stream.end();
  }

  return {
    async poll(viewer) {
      const channel = channelOf(viewer);
      const read = readingOf(viewer);
      return channel === undefined ? (await read()).state : channel.poll(read);
    },
    async open(viewer, lastEventId) {
      const release = await admit(viewer);
      if (release === undefined) return undefined;
      // Only now: a channel that nobody asks for is never removed.
      const channel = isClosed ? undefined : channelOf(viewer);
      if (channel === undefined) {
        release();
        return undefined;
      }
      const stream = createLiveStream();
      open.set(stream, viewer.session.id);
      stream.onClose(() => {
        open.delete(stream);
        release();
      });
      if (checking === undefined) scheduleCheck();
      try {
        await channel.join({ stream, read: readingOf(viewer) }, lastEventId);
      } catch (error) {
        stream.end();
        throw error;
      }
      return stream;
    },
    close,
    worker: {
      name: 'dashboard streams',
      ready: Promise.resolve(),
      async run(signal) {
        if (!signal.aborted) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        }
        close();
      },
    },
  };
}

function noStream(): AppError {
  return new AppError('too_many', 'There are as many streams as there may be.');
}

/** The account of a session. Operators are one of their own. */
function ownerOf({ caller }: Visitor): string {
  return limitedAccountOf(caller) ?? 'operator';
}

/**
 * All of a session that a page may show, except for what is of one visitor alone and stands in hidden fields: sessions that
 * are equal in it see the same.
 */
function sharedBy({ caller, accountName, theme, locale, hideNavigation }: Visitor): string {
  const rights = caller.kind === 'account' ? [caller.accountId, ...caller.scopes.toSorted()] : [];
  return JSON.stringify([caller.kind, rights, accountName, theme, locale, hideNavigation]);
}
