import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { LiveState } from './live.ts';
import type { LiveStream } from './live-stream.ts';

/** The live parts of a page now, and the seconds until the next read. */
export interface LiveReading {
  readonly state: LiveState;
  readonly everySeconds: number;
}

/** Reads what a page shows, for one of its viewers. @throws AppError the API's refusal */
export type ReadLive = () => Promise<LiveReading>;

/** One page for all of its viewers: read once per interval, whatever their number. */
export interface LiveChannel {
  /** The state of this interval. */
  poll(read: ReadLive): Promise<LiveState>;
  /** Sends the state to a stream, unless its page already has it, and then every change. */
  join(watcher: Watcher, lastEventId: string | undefined): Promise<void>;
}

export interface Watcher {
  readonly stream: LiveStream;
  readonly read: ReadLive;
}

/**
 * Maximum age of a reading for a page that was just loaded. An older one may lack what the page shows, and then the
 * page would reload itself.
 */
const NEW_PAGE_MS = 500;

/** The longest pause between failing reads. */
const MAX_PAUSE_MS = 30_000;

interface Latest extends LiveReading {
  /** Identifies the state: equal states have equal IDs in all processes. */
  readonly id: string;
  readonly atMs: number;
}

/**
 * @param onUnused called when nobody has used the channel for an interval; it stops reading
 * @param onFailure called when a read fails that nobody waits for
 */
export function createLiveChannel(onUnused: () => void, onFailure: (error: unknown) => void): LiveChannel {
  const watchers = new Set<Watcher>();
  let latest: Latest | undefined;
  let reading: Promise<Latest> | undefined;
  let waiting = 0;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;

  /** All callers during a read share its result. */
  function readOnce(read: ReadLive): Promise<Latest> {
    const run = async () => {
      const atMs = performance.now();
      const found = await read();
      latest = { ...found, id: idOf(found.state), atMs };
      return latest;
    };
    reading ??= run().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  async function current(read: ReadLive): Promise<Latest> {
    waiting += 1;
    try {
      const isFresh = latest !== undefined && performance.now() - latest.atMs < latest.everySeconds * 1_000;
      return latest !== undefined && isFresh ? latest : await readOnce(read);
    } finally {
      waiting -= 1;
      if (timer === undefined) schedule();
    }
  }

  function schedule(): void {
    const everyMs = (latest?.everySeconds ?? 1) * 1_000;
    timer = setTimeout(() => void next(), Math.min(MAX_PAUSE_MS, everyMs * 2 ** failures)).unref();
  }

  async function next(): Promise<void> {
    const [first] = watchers;
    if (first === undefined && waiting === 0) return onUnused();
    if (first !== undefined) await readFor(first);
    schedule();
  }

  async function readFor({ read }: Watcher): Promise<void> {
    const before = latest;
    try {
      const { state, id } = await readOnce(read);
      const wasStale = failures > 0;
      failures = 0;
      if (id === before?.id && !wasStale) return;
      const change = wasStale ? state : changeOf(before?.state, state);
      for (const { stream } of watchers) stream.send('state', change, id);
    } catch (error) {
      failures += 1;
      // The page itself reports that its object does not exist any more.
      const isGone = error instanceof AppError && error.code === 'not_found';
      for (const { stream } of watchers) {
        if (isGone) stream.end('over');
        else stream.send('stale');
      }
      if (!isGone) onFailure(error);
    }
  }

  return {
    poll: async (read) => (await current(read)).state,
    async join(watcher, lastEventId) {
      const { stream, read } = watcher;
      const isNewPage = lastEventId === undefined;
      if (isNewPage && latest !== undefined && performance.now() - latest.atMs > NEW_PAGE_MS) {
        await readFor(watcher);
      }
      const found = await current(read);
      // A read that ended since is sent to those who joined before.
      const { state, id } = latest ?? found;
      if (id === lastEventId) stream.send('beat');
      else stream.send('state', state, id);
      watchers.add(watcher);
      stream.onClose(() => watchers.delete(watcher));
    },
  };
}

function idOf(state: LiveState): string {
  return createHash('sha256').update(JSON.stringify(state)).digest('base64url').slice(0, 16);
}

/** The difference between the page's state and the present one. */
function changeOf(before: LiveState | undefined, now: LiveState): LiveState {
  if (before === undefined || before.shape !== now.shape) return now;
  return {
    shape: now.shape,
    texts: changed(before.texts, now.texts),
    bars: changed(before.bars, now.bars),
    columns: changed(before.columns, now.columns),
    links: changed(before.links, now.links),
  };
}

function changed<Value>(
  before: Readonly<Record<string, Value>>,
  now: Readonly<Record<string, Value>>,
): Readonly<Record<string, Value>> {
  return Object.fromEntries(
    Object.entries(now).filter(([name, value]) => !isDeepStrictEqual(before[name], value)),
  );
}
