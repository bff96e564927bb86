import pg from 'pg';

/**
 * What is in the way when a call fails for a reason outside of it, so that the same call may succeed later:
 *
 * - `network`: no connection to a server, or it broke.
 * - `unknown_host`: a name that does not resolve, by a failure of DNS or by a mistake in a setting.
 * - `connection`, `shutdown`, `resources`, `io`, `credentials`, `session`: the state of a PostgreSQL server or session.
 * - `conflict`, `lock`, `in_use`, `timeout`: another transaction or session.
 * - `kafka`, `http`: a broker; a server that answers 429 or 5xx (the schema registry, S3).
 */
export type TransientKind =
  | 'network'
  | 'unknown_host'
  | 'connection'
  | 'shutdown'
  | 'resources'
  | 'io'
  | 'credentials'
  | 'session'
  | 'conflict'
  | 'lock'
  | 'in_use'
  | 'timeout'
  | 'kafka'
  | 'http';

/** Codes of Node's sockets and resolver. */
const NETWORK_CODES: Readonly<Record<string, TransientKind>> = {
  ECONNREFUSED: 'network', // nothing listens: the server restarts
  ECONNRESET: 'network', // the server or a proxy dropped the connection
  ECONNABORTED: 'network', // this side dropped it
  EPIPE: 'network', // written to a connection that was dropped
  ETIMEDOUT: 'network', // no answer
  EHOSTUNREACH: 'network', // no route
  ENETUNREACH: 'network', // no route
  EAI_AGAIN: 'network', // the resolver does not answer
  ENOTFOUND: 'unknown_host', // the resolver knows no such name
};

/** See "PostgreSQL Error Codes" in its manual. A code comes before its class, which is its first two characters. */
const SQLSTATES: Readonly<Record<string, TransientKind>> = {
  '08': 'connection', // connection exceptions, also of a pooler in between
  '25P03': 'session', // ended while idle in a transaction
  '25P04': 'session', // ended by transaction_timeout
  '28': 'credentials', // a password that is being rotated
  '40': 'conflict', // serialization failure, deadlock
  '53': 'resources', // too many connections, out of memory or disk
  '55006': 'in_use', // a slot that another session reads
  '55P03': 'lock', // lock_timeout, NOWAIT
  '57': 'shutdown', // shut down or starting up
  '57014': 'timeout', // statement_timeout or a cancel request
  '58': 'io', // input or output of the server
};

/** Names of error classes of `shared/postgres`, which imports this folder. */
const LOST_CONNECTIONS: ReadonlySet<string> = new Set(['ConnectionLostError', 'PoolBusyError']);

const TOO_MANY_REQUESTS = 429;
const SERVER_FAULT = 500;

/** A chain of causes is read no further than this, so that a cycle ends. */
const MAX_CAUSES = 8;

/**
 * The reason of a failure that may pass by itself; undefined for any other, which has to be dealt with by its own kind.
 * Reads the chain of causes, outermost first, up to the first error that a server or a client library made.
 */
export function classifyTransient(error: unknown): TransientKind | undefined {
  for (const link of causesOf(error)) {
    if (link instanceof pg.DatabaseError) return classifySqlState(link.code);
    const { code } = link as { code?: unknown };
    if (typeof code === 'string' && Object.hasOwn(NETWORK_CODES, code)) return NETWORK_CODES[code];
    if (link.name === 'TimeoutError') return 'network';
    if (LOST_CONNECTIONS.has(link.name)) return 'connection';
    // Its class can't be compared: there is more than one copy of it.
    if (link.name.startsWith('KafkaJS') || link.name === 'KafkaError') return 'kafka';
    const status = statusOf(link);
    if (status !== undefined) return isPassingStatus(status) ? 'http' : undefined;
  }
  return undefined;
}

/** A server or the network is away. Other kinds may be a limit that the same work meets at each attempt. */
const AWAY: ReadonlySet<TransientKind | undefined> = new Set([
  'network',
  'unknown_host',
  'connection',
  'shutdown',
  'credentials',
  'kafka',
  'http',
] as const);

/** Whether work that ended so cannot be the cause, and may be repeated without a limit. */
export function isServerAway(kind: TransientKind | undefined): boolean {
  return AWAY.has(kind);
}

export function classifySqlState(sqlState: string | undefined): TransientKind | undefined {
  return sqlState === undefined ? undefined : (SQLSTATES[sqlState] ?? SQLSTATES[sqlState.slice(0, 2)]);
}

/** The error and its causes. */
export function causesOf(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let link = error; link instanceof Error && chain.length < MAX_CAUSES; link = link.cause)
    chain.push(link);
  return chain;
}

/** The status of an HTTP answer, where the registry's client and where Amazon's keep it. */
function statusOf(error: Error): number | undefined {
  const { status, $metadata } = error as { status?: unknown; $metadata?: { httpStatusCode?: number } };
  if (error.name === 'ResponseError' && typeof status === 'number') return status;
  return $metadata?.httpStatusCode;
}

function isPassingStatus(status: number): boolean {
  return status >= SERVER_FAULT || status === TOO_MANY_REQUESTS;
}

/** Node's codes of a certificate that it does not accept. */
const CERTIFICATE_CODES =
  /^(ERR_TLS_\w+|CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+)$/;

export const isCertificateCode = (code: string): boolean => CERTIFICATE_CODES.test(code);
