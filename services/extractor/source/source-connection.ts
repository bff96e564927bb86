import type pg from 'pg';

/** The server a session is on. Two sessions of one export must agree on it, and the feed with both. */
export interface SourceIdentity {
  readonly systemId: string;
  readonly timeline: number;
}

/** A connection to a source, and the server process that it was found to be connected to. */
export interface SourceConnection {
  readonly client: pg.Client;
  readonly identity: SourceIdentity;
  readonly backendPid: string;
  readonly openedAtMs: number;
  readonly isBroken: boolean;
  /** Who hears when it breaks: the session that has it, in the place of the one before. */
  onBroken(listen: (cause: unknown) => void): void;
  end(): Promise<void>;
}

export function createConnection(
  client: pg.Client,
  { identity, backendPid }: Pick<SourceConnection, 'identity' | 'backendPid'>,
): SourceConnection {
  let broken: { readonly cause: unknown } | undefined;
  let tell: ((cause: unknown) => void) | undefined;
  client.on('error', (cause) => {
    // The server's word, and then the end of the connection.
    if (broken !== undefined) return;
    broken = { cause };
    tell?.(cause);
  });
  return {
    client,
    identity,
    backendPid,
    openedAtMs: performance.now(),
    get isBroken() {
      return broken !== undefined;
    },
    onBroken(listen) {
      tell = listen;
      if (broken !== undefined) listen(broken.cause);
    },
    async end() {
      tell = undefined;
      await client.end().catch(() => undefined);
    },
  };
}

/** The next small export takes a connection within this time, or nobody does. */
const IDLE_LIMIT_MS = 5_000;

/** What a role or a database sets, and what a long-lived server process keeps in memory, is as old at most. */
const AGE_LIMIT_MS = 60_000;

/** Several exports of a few seconds each have no more use for. */
const MAX_IDLE = 8;

/** Connections that nobody uses for the moment. Once it is disposed of it keeps none. */
export interface IdleConnections extends AsyncDisposable {
  give(connection: SourceConnection): void;
  /**
   * @param prepare makes it ready; one that it throws for is ended, and the next is tried
   * @returns undefined when there is none
   */
  take(prepare: (connection: SourceConnection) => Promise<void>): Promise<SourceConnection | undefined>;
}

export function createIdleConnections(): IdleConnections {
  const idle: { readonly kept: SourceConnection; readonly limit: NodeJS.Timeout }[] = [];
  const isOver = ({ isBroken, openedAtMs }: SourceConnection) =>
    isBroken || performance.now() - openedAtMs >= AGE_LIMIT_MS;

  let isClosed = false;
  return {
    give(connection) {
      connection.onBroken(() => undefined);
      if (isClosed || idle.length >= MAX_IDLE || isOver(connection)) {
        void connection.end();
        return;
      }
      const limit = setTimeout(() => {
        const at = idle.findIndex((each) => each.kept === connection);
        if (at !== -1) idle.splice(at, 1);
        void connection.end();
      }, IDLE_LIMIT_MS);
      idle.push({ kept: connection, limit });
    },
    async take(prepare) {
      for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
        const { kept, limit } = last;
        clearTimeout(limit);
        if (!isOver(kept)) {
          try {
            await prepare(kept);
            return kept;
          } catch {
            // It was broken, or is another server's by now: a new one says what is wrong.
          }
        }
        await kept.end();
      }
      return undefined;
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      await Promise.all(
        idle.splice(0).map(({ kept, limit }) => {
          clearTimeout(limit);
          return kept.end();
        }),
      );
    },
  };
}
