import { isIP, type LookupFunction } from 'node:net';
import { type Cidr, checkAddress } from '../../../shared/domain/address-rules.ts';
import { isPortAllowed } from '../../../shared/domain/delivery-url.ts';
import { createNameResolver, type ResolveName } from './resolve-name.ts';

/** A connection was refused because of its destination. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
  readonly code = 'ERR_ADDRESS_REFUSED';
}

/**
 * Allows connections only to permitted addresses and ports. It checks the resolved address at the moment of connecting,
 * so a name that resolves differently the second time gains nothing. A reused connection was checked when it was made.
 */
export interface ConnectionCheck {
  /** The error if the host is itself an address that is not permitted; no look-up happens for it. */
  refuseLiteral(host: string, port: number): AddressRefusedError | undefined;
  /** A look-up function that returns only permitted addresses of a name, and fails when there are none. */
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
