import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Cidr, checkAddress } from '../../../shared/domain/address-rules.ts';
import { isPortAllowed } from '../../../shared/domain/delivery-url.ts';

/** A connection that is not made, because of where it would lead. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
  readonly code = 'ERR_ADDRESS_REFUSED';
}

type Resolve = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
) => void;

interface ConnectOptions {
  readonly host?: string | null | undefined;
  readonly port?: number | string | null | undefined;
}

type OnConnect = (error: Error | null, stream: Duplex) => void;

export interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** Idle connections kept for reuse. Those in use are limited by who sends. */
const MAX_IDLE_SOCKETS = 256;

/** Shorter than the idle limit of common servers, so that we rarely write to a connection that is being closed. */
const IDLE_TIMEOUT_MS = 4_000;

/**
 * Agents that connect to allowed addresses and ports only. The check is made on the resolved address at the moment
 * of connecting, so a name that resolves to something else a second time gains nothing; a connection that is reused
 * was checked when it was made.
 */
export function createCheckedAgents(
  allowNetworks: readonly Cidr[],
  resolve: Resolve = (hostname, options, callback) => dns.lookup(hostname, options, callback),
): Agents {
  const settings = { keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS, timeout: IDLE_TIMEOUT_MS };
  const findRefusal = (address: string, port: number): string | undefined => {
    const verdict = checkAddress(address, allowNetworks);
    if (verdict !== 'allowed') return `the address is not delivered to (${verdict})`;
    return isPortAllowed(port, address, allowNetworks) ? undefined : `port ${port} is not delivered to`;
  };

  /** Adds the check to what an agent is about to connect with, or refuses at once where no look-up will happen. */
  const check = <T extends ConnectOptions>(options: T): T & { lookup: LookupFunction } => {
    const port = Number(options.port);
    const host = String(options.host ?? '').replace(/^\[|\]$/g, '');
    const refusal = isIP(host) === 0 ? undefined : findRefusal(host, port);
    if (refusal !== undefined) throw new AddressRefusedError(refusal);
    return { ...options, lookup: createCheckedLookup(resolve, (address) => findRefusal(address, port)) };
  };

  class CheckedHttpAgent extends http.Agent {
    override createConnection(options: http.ClientRequestArgs, onConnect?: OnConnect) {
      return refuseLate(onConnect, () => super.createConnection(check(options), onConnect));
    }
  }
  class CheckedHttpsAgent extends https.Agent {
    override createConnection(options: https.RequestOptions, onConnect?: OnConnect) {
      return refuseLate(onConnect, () => super.createConnection(check(options), onConnect));
    }
  }
  return { http: new CheckedHttpAgent(settings), https: new CheckedHttpsAgent(settings) };
}

/** An agent takes a failure through its callback; thrown, it would leave the agent's own books wrong. */
function refuseLate<T>(onConnect: OnConnect | undefined, connect: () => T): T | undefined {
  try {
    return connect();
  } catch (error) {
    if (!(error instanceof AddressRefusedError) || onConnect === undefined) throw error;
    // The stream is absent when there is an error, which the agent's types do not say.
    process.nextTick(onConnect as (error: Error) => void, error);
    return undefined;
  }
}

/** Resolves to the allowed addresses of a name only; a name that has none is refused. */
function createCheckedLookup(
  resolve: Resolve,
  findRefusal: (address: string) => string | undefined,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, '');
        return;
      }
      const allowed = addresses.filter(({ address }) => findRefusal(address) === undefined);
      const [first] = allowed;
      if (first === undefined) {
        const refusal =
          addresses[0] === undefined ? 'the name has no address' : findRefusal(addresses[0].address);
        callback(new AddressRefusedError(refusal), '');
      } else if (options.all === true) {
        callback(null, allowed);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}
