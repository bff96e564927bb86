import http from 'node:http';
import https from 'node:https';
import { type LookupFunction, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AddressRefusedError, type ConnectionCheck } from './connection-check.ts';
import { type AnswerLimits, LIMITED_TLS, limitAnswers } from './limit-answers.ts';

interface ConnectOptions {
  readonly host?: string | null | undefined;
  readonly port?: number | string | null | undefined;
}

type OnConnect = (error: Error | null, stream: Duplex) => void;

export interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** Idle connections kept for reuse. The caller limits those in use. */
const MAX_IDLE_SOCKETS = 256;

/** Shorter than the idle timeout of common servers, so that requests rarely meet a connection that is closing. */
const IDLE_TIMEOUT_MS = 4_000;

/** Node's own HTTP agents, which connect only where `check` allows. */
export function createCheckedAgents(check: ConnectionCheck): Agents {
  const settings = { keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS, timeout: IDLE_TIMEOUT_MS };

  /** Adds the check to the connection options. Refuses at once where no name is looked up. */
  const checked = <T extends ConnectOptions>(options: T): T & { lookup: LookupFunction } => {
    const port = Number(options.port);
    const refusal = check.refuseLiteral(String(options.host ?? ''), port);
    if (refusal !== undefined) throw refusal;
    return { ...options, ...LIMITED_TLS, lookup: check.lookupFor(port) };
  };

  const limits = new WeakMap<Duplex, AnswerLimits>();
  const limited = <T extends Duplex | null | undefined>(stream: T): T => {
    if (stream instanceof Socket) limits.set(stream, limitAnswers(stream));
    return stream;
  };

  class CheckedHttpAgent extends http.Agent {
    override createConnection(options: http.ClientRequestArgs, onConnect?: OnConnect) {
      return refuseLate(onConnect, () => limited(super.createConnection(checked(options), onConnect)));
    }
    override keepSocketAlive(stream: Duplex) {
      limits.get(stream)?.expectNothing();
      return super.keepSocketAlive(stream);
    }
    override reuseSocket(stream: Duplex, request: http.ClientRequest) {
      limits.get(stream)?.expectAnswer();
      super.reuseSocket(stream, request);
    }
  }
  class CheckedHttpsAgent extends https.Agent {
    override createConnection(options: https.RequestOptions, onConnect?: OnConnect) {
      return refuseLate(onConnect, () => limited(super.createConnection(checked(options), onConnect)));
    }
    override keepSocketAlive(stream: Duplex) {
      limits.get(stream)?.expectNothing();
      return super.keepSocketAlive(stream);
    }
    override reuseSocket(stream: Duplex, request: http.ClientRequest) {
      limits.get(stream)?.expectAnswer();
      super.reuseSocket(stream, request);
    }
  }
  return { http: new CheckedHttpAgent(settings), https: new CheckedHttpsAgent(settings) };
}

/** Reports a failure through the agent's callback. Thrown, it would corrupt the agent's socket count. */
function refuseLate<T>(onConnect: OnConnect | undefined, connect: () => T): T | undefined {
  try {
    return connect();
  } catch (error) {
    if (!(error instanceof AddressRefusedError) || onConnect === undefined) throw error;
    // The agent's types don't say that the stream is absent when there is an error.
    process.nextTick(onConnect as (error: Error) => void, error);
    return undefined;
  }
}
