import type { Socket } from 'node:net';
import { buildConnector, Client } from 'undici';
import type { ConnectionCheck } from './connection-check.ts';
import { type AnswerLimits, LIMITED_TLS, limitAnswers } from './limit-answers.ts';

/** Shorter than the idle limit of common servers, so that we rarely write to a connection that is being closed. */
const IDLE_TIMEOUT_MS = 4_000;

/** Idle connections kept for reuse, over all origins. Those in use are limited by who sends. */
const MAX_IDLE = 1_000;

/** TLS sessions remembered per port, which save a round trip when connecting again. */
const MAX_TLS_SESSIONS = 1_000;

/** One connection, which carries one request at a time. */
export interface Connection {
  readonly origin: string;
  readonly client: Client;
  /** What may come over it, once it is connected. */
  limits: AnswerLimits | undefined;
  /** Answers that came over it; a request that dies on the first use did not meet a connection gone stale. */
  answerCount: number;
}

/**
 * Connections by origin: a kept one when there is one, else a new one, so that no request ever waits for another's
 * answer. Every connection is checked by `check` when it is made, also one that is made again.
 */
export interface OriginConnections {
  take(origin: string): Connection;
  /** Keeps it for the next request, if it is still open. */
  giveBack(connection: Connection): void;
  /** Closes all that are kept; those in use are their users' to close. */
  closeIdle(): Promise<void>;
}

export function createOriginConnections(
  check: ConnectionCheck,
  connectTimeoutMs: number,
  maxIdle: number = MAX_IDLE,
): OriginConnections {
  /** In the order in which they became idle, so that the first is the one to give up. */
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
      // Each request has one deadline for everything.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        // Limited from its first byte on, which for TLS comes before it is called connected.
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
