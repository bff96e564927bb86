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

/** A viewer of a page that updates. */
export interface Viewer {
  readonly session: Visitor;
  /** Identifies the content by everything it depends on besides the session: page, query and language. */
  readonly page: string;
  /** Reads the present content with the rights of the session. */
  read(): Promise<LiveReading>;
}

/**
 * Updates open pages. Viewers of the same content share one read per interval. The sessions of all streams are checked
 * in one statement.
 */
export interface LiveHub {
  /** The present live parts. @throws AppError the API's refusal */
  poll(viewer: Viewer): Promise<LiveState>;
  /**
   * Opens a stream of changes. Undefined when no stream is free; then the page polls.
   *
   * @param lastEventId of a stream that broke off, so that its last state is not sent again
   * @throws AppError the API's refusal
   */
  open(viewer: Viewer, lastEventId: string | undefined): Promise<LiveStream | undefined>;
  /** Ends all streams, and opens no more. */
  close(): void;
  /** Closes when the process stops, so that open streams don't delay the stop. */
  readonly worker: Worker;
}

export interface LiveLimits {
  readonly perSession: number;
  readonly perAccount: number;
  readonly perProcess: number;
  /** Limit of different pages of one account that are shared between requests. */
  readonly pagesPerAccount: number;
  /** Less than a second, the time within which a revoked session ends. */
  readonly checkEveryMs: number;
  /** Interval of heartbeats on a quiet stream. */
  readonly beatMs: number;
}

/**
 * A browser has six HTTP/1.1 connections to a server: three streams leave half of them. All streams together leave half
 * of the listener's connections.
 */
export const LIVE_LIMITS: LiveLimits = {
  perSession: 3,
  perAccount: 600,
  perProcess: 2_000,
  pagesPerAccount: 100,
  checkEveryMs: 800,
  beatMs: 15_000,
};

/** Failed checks in a row after which all streams end, because their sessions may have ended. */
const MAX_FAILED_CHECKS = 5;

export interface LiveHubDeps {
  /** Returns those of these sessions that have not ended. */
  findActive(sessionIds: readonly string[]): Promise<ReadonlySet<string>>;
  readonly limiter: Pick<AccountLimiter, 'run'>;
  readonly log: Log;
  readonly limits?: Partial<LiveLimits>;
}

interface Page {
  /** The account whose pages these are, or the operator. */
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

  /** @returns undefined when the account has its limit of shared pages */
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

  /** Reads count towards the account's limits, like its requests. */
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
      // Only now: a channel that nobody polls would never be removed.
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

/** The account of a session. All operators share one. */
function ownerOf({ caller }: Visitor): string {
  return limitedAccountOf(caller) ?? 'operator';
}

/**
 * Everything about a session that a page may show, except for values in hidden fields: sessions with equal values see
 * the same page.
 */
function sharedBy({ caller, accountName, theme, locale, hideNavigation }: Visitor): string {
  const rights = caller.kind === 'account' ? [caller.accountId, ...caller.scopes.toSorted()] : [];
  return JSON.stringify([caller.kind, rights, accountName, theme, locale, hideNavigation]);
}
