import type { Socket } from 'node:net';
import { buildConnector, Client } from 'undici';
import type { ConnectionCheck } from './connection-check.ts';
import { type AnswerLimits, LIMITED_TLS, limitAnswers } from './limit-answers.ts';

/** Shorter than the idle timeout of common servers, so that requests rarely meet a connection that is closing. */
const IDLE_TIMEOUT_MS = 4_000;

/** Idle connections kept for reuse, over all origins. The caller limits those in use. */
const MAX_IDLE = 1_000;

/** TLS sessions cached per port, which saves a round trip on reconnecting. */
const MAX_TLS_SESSIONS = 1_000;

/** One connection, which carries one request at a time. */
export interface Connection {
  readonly origin: string;
  readonly client: Client;
  /** The limits on responses, once it is connected. */
  limits: AnswerLimits | undefined;
  /** Responses received so far. A request that fails on a connection's first use did not meet a stale one. */
  answerCount: number;
}

/**
 * Connections by origin. `take` returns an idle one or else a new one, so no request waits for another's response.
 * Every connection, including a reconnect, is checked by `check`.
 */
export interface OriginConnections {
  take(origin: string): Connection;
  /** Keeps a connection for the next request, if it is still open. */
  giveBack(connection: Connection): void;
  /** Closes all idle connections. Those in use are closed by their users. */
  closeIdle(): Promise<void>;
}

export function createOriginConnections(
  check: ConnectionCheck,
  connectTimeoutMs: number,
  maxIdle: number = MAX_IDLE,
): OriginConnections {
  /** In the order in which they became idle: the first is dropped first. */
  const idle = new Set<Connection>();
  const idleByOrigin = new Map<string, Connection[]>();
  const connectors = new Map<number, buildConnector.connector>();

  const connectorFor = (port: number): buildConnector.connector => {
    const known = connectors.get(port);
    if (known !== undefined) return known;
    const connect = buildConnector({
      timeout: connectTimeoutMs,
      allowH2: false,
      maxCachedSessions: MAX_TLS_SESSIONS,
      lookup: check.lookupFor(port),
      ...LIMITED_TLS,
    });
    const connector: buildConnector.connector = (options, callback) => {
      const refusal = check.refuseLiteral(options.hostname, port);
      if (refusal === undefined) return connect(options, callback);
      process.nextTick(callback, refusal, null);
      return undefined;
    };
    connectors.set(port, connector);
    return connector;
  };

  const remove = (connection: Connection): boolean => {
    if (!idle.delete(connection)) return false;
    const siblings = idleByOrigin.get(connection.origin);
    const index = siblings?.lastIndexOf(connection) ?? -1;
    if (index >= 0) siblings?.splice(index, 1);
    if (siblings?.length === 0) idleByOrigin.delete(connection.origin);
    return true;
  };

  const open = (origin: string): Connection => {
    const { port, protocol } = new URL(origin);
    const connect = connectorFor(Number(port) || (protocol === 'https:' ? 443 : 80));
    const client = new Client(origin, {
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      keepAliveMaxTimeout: IDLE_TIMEOUT_MS,
      // One deadline covers the whole request.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        // Limited from its first byte on. With TLS, bytes arrive before the connection counts as connected.
        const socket = connect(options, callback) as Socket | undefined;
        if (socket !== undefined) connection.limits = limitAnswers(socket);
      },
    });
    const connection: Connection = { origin, client, limits: undefined, answerCount: 0 };
    client.on('connect', () => {
      connection.answerCount = 0;
    });
    client.on('disconnect', () => {
      if (remove(connection)) void client.destroy();
    });
    return connection;
  };

  return {
    take(origin) {
      // The one used last is the least likely to be closed already.
      const kept = idleByOrigin.get(origin)?.at(-1);
      if (kept === undefined) return open(origin);
      remove(kept);
      kept.limits?.expectAnswer();
      return kept;
    },
    giveBack(connection) {
      if (!connection.client.stats.connected) {
        void connection.client.destroy();
        return;
      }
      connection.limits?.expectNothing();
      idle.add(connection);
      const siblings = idleByOrigin.get(connection.origin);
      if (siblings === undefined) idleByOrigin.set(connection.origin, [connection]);
      else siblings.push(connection);
      const [oldest] = idle;
      if (idle.size <= maxIdle || oldest === undefined) return;
      remove(oldest);
      void oldest.client.destroy();
    },
    async closeIdle() {
      const all = [...idle];
      idle.clear();
      idleByOrigin.clear();
      await Promise.all(all.map(({ client }) => client.destroy()));
    },
  };
}
