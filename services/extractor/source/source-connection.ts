import type pg from 'pg';

/** The server a session is on. Two sessions of one export must agree on it, and the feed with both. */
export interface SourceIdentity {
  readonly systemId: string;
  readonly timeline: number;
}

/** A connection to a source, and the server process behind it. */
export interface SourceConnection {
  readonly client: pg.Client;
  readonly identity: SourceIdentity;
  readonly backendPid: string;
  readonly openedAtMs: number;
  readonly isBroken: boolean;
  /** Sets the listener for a broken connection. It replaces that of the previous session. */
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
    // The server reports an error first, then the connection ends. Only the first counts.
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

/** A kept connection is closed after this time. It serves small exports that follow each other. */
const IDLE_LIMIT_MS = 5_000;

/**
 * Age at which a connection is closed. Bounds how outdated settings of roles and databases, and the memory of a server
 * process, can be.
 */
const AGE_LIMIT_MS = 60_000;

/** More are not needed for several exports of a few seconds each. */
const MAX_IDLE = 8;

/** Connections that are kept while unused. After its disposal it keeps none. */
export interface IdleConnections extends AsyncDisposable {
  give(connection: SourceConnection): void;
  /**
   * @param prepare makes a connection ready. One for which it throws is closed, and the next is tried
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
            // It was broken, or belongs to another server by now. A new connection reports the cause.
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
