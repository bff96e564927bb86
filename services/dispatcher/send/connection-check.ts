import { isIP, type LookupFunction } from 'node:net';
import { type Cidr, checkAddress } from '../../../shared/domain/address-rules.ts';
import { isPortAllowed } from '../../../shared/domain/delivery-url.ts';
import { createNameResolver, type ResolveName } from './resolve-name.ts';

/** A connection that is not made, because of where it would lead. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
  readonly code = 'ERR_ADDRESS_REFUSED';
}

/**
 * Lets connections be made to allowed addresses and ports only. The check is made on the resolved address at the
 * moment of connecting, so a name that resolves to something else a second time gains nothing; a connection that is
 * reused was checked when it was made.
 */
export interface ConnectionCheck {
  /** Why a host must not be connected to when it is an address itself, for which no look-up will happen. */
  refuseLiteral(host: string, port: number): AddressRefusedError | undefined;
  /** Resolves to the allowed addresses of a name only; a name that has none is refused. */
  lookupFor(port: number): LookupFunction;
}

export function createConnectionCheck(
  allowNetworks: readonly Cidr[],
  resolve: ResolveName = createNameResolver(),
): ConnectionCheck {
  const findRefusal = (address: string, port: number): string | undefined => {
    const verdict = checkAddress(address, allowNetworks);
    if (verdict !== 'allowed') return `the address is not delivered to (${verdict})`;
    return isPortAllowed(port, address, allowNetworks) ? undefined : `port ${port} is not delivered to`;
  };

  return {
    refuseLiteral(host, port) {
      const bare = host.replace(/^\[|\]$/g, '');
      const refusal = isIP(bare) === 0 ? undefined : findRefusal(bare, port);
      return refusal === undefined ? undefined : new AddressRefusedError(refusal);
    },
    lookupFor: (port) => (hostname, options, callback) => {
      resolve(hostname, { ...options, all: true }, (error, addresses) => {
        if (error !== null) {
          callback(error, '');
          return;
        }
        const allowed = addresses.filter(({ address }) => findRefusal(address, port) === undefined);
        const [first] = allowed;
        if (first === undefined) {
          const refusal =
            addresses[0] === undefined ? 'the name has no address' : findRefusal(addresses[0].address, port);
          callback(new AddressRefusedError(refusal), '');
        } else if (options.all === true) {
          callback(null, allowed);
        } else {
          callback(null, first.address, first.family);
        }
      });
    },
  };
}
