import ipaddr from 'ipaddr.js';

/** A network as an operator writes it, `10.0.0.0/8` or `fd00::/8`. */
export interface Cidr {
  readonly network: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefix: number;
}

/** Why an address is not delivered to; the names are part of what customers are told. */
export type AddressRefusal =
  | 'not_an_address'
  | 'unspecified'
  | 'loopback'
  | 'private'
  | 'link_local'
  | 'carrier_grade_nat'
  | 'multicast'
  | 'metadata'
  | 'ipv4_in_ipv6'
  | 'reserved';

export type AddressVerdict = 'allowed' | AddressRefusal;

/** Parses a network. An address alone is a network of one. @throws RangeError for anything else */
export function parseCidr(text: string): Cidr {
  if (ipaddr.isValidCIDR(text)) {
    const [network, prefix] = ipaddr.parseCIDR(text);
    return { network, prefix };
  }
  const network = parseAddress(text);
  if (network === undefined) throw new RangeError(`not a network in CIDR form: ${JSON.stringify(text)}`);
  return { network, prefix: network.kind() === 'ipv4' ? 32 : 128 };
}

/**
 * Whether a delivery may connect to this address: public unicast only, unless the operator allowed its network.
 *
 * Tunnelled forms (IPv4-mapped, NAT64, 6to4, Teredo) are refused whatever address they carry, because where they end
 * is decided by a router we don't see; a network that needs one of them is opened by allowing it.
 */
export function checkAddress(ip: string, allow: readonly Cidr[]): AddressVerdict {
  const address = parseAddress(ip);
  if (address === undefined) return 'not_an_address';
  if (isOpened(ip, allow)) return 'allowed';
  return address instanceof ipaddr.IPv4 ? checkIpv4(address) : checkIpv6(address);
}

/** Whether the operator opened this very address by allowing its network. */
export function isOpened(ip: string, allow: readonly Cidr[]): boolean {
  const address = parseAddress(ip);
  if (address === undefined) return false;
  // An operator who allowed 127.0.0.0/8 means ::ffff:127.0.0.1 too: it is the same socket.
  const mapped =
    address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? [address.toIPv4Address()] : [];
  return [address, ...mapped].some((form) => isInside(form, allow));
}

/** Only the four-part decimal form and IPv6: `0x7f.1` and `2130706433` are names to us, and URL parsers have resolved them already. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  // A zone (`fe80::1%eth0`) names an interface of this machine; such an address is link-local in any case.
  if (text.includes(':') && ipaddr.IPv6.isValid(text)) return ipaddr.IPv6.parse(text);
  return undefined;
}

function isInside(address: ipaddr.IPv4 | ipaddr.IPv6, networks: readonly Cidr[]): boolean {
  return networks.some(
    ({ network, prefix }) => network.kind() === address.kind() && address.match(network, prefix),
  );
}

/** Cloud metadata services outside the link-local range: Azure's wire server, Alibaba's, and Amazon's over IPv6. */
const METADATA = [parseCidr('168.63.129.16'), parseCidr('100.100.100.200'), parseCidr('fd00:ec2::254')];

const IPV4_REFUSALS: Readonly<Record<string, AddressRefusal>> = {
  unspecified: 'unspecified',
  loopback: 'loopback',
  private: 'private',
  linkLocal: 'link_local',
  carrierGradeNat: 'carrier_grade_nat',
  multicast: 'multicast',
};

function checkIpv4(address: ipaddr.IPv4): AddressVerdict {
  if (isInside(address, METADATA) || address.toString() === '169.254.169.254') return 'metadata';
  const range = address.range();
  return range === 'unicast' ? 'allowed' : (IPV4_REFUSALS[range] ?? 'reserved');
}

const IPV6_REFUSALS: Readonly<Record<string, AddressRefusal>> = {
  unspecified: 'unspecified',
  loopback: 'loopback',
  uniqueLocal: 'private',
  deprecatedSiteLocal: 'private',
  linkLocal: 'link_local',
  multicast: 'multicast',
  ipv4Mapped: 'ipv4_in_ipv6',
  rfc6145: 'ipv4_in_ipv6',
  rfc6052: 'ipv4_in_ipv6',
  '6to4': 'ipv4_in_ipv6',
  teredo: 'ipv4_in_ipv6',
};

/** The only block from which global unicast addresses are given out (RFC 4291). */
const GLOBAL_UNICAST = [parseCidr('2000::/3')];

/** `::a.b.c.d`, deprecated, but some systems still send it as IPv4. */
const IPV4_COMPATIBLE = [parseCidr('::/96')];

function checkIpv6(address: ipaddr.IPv6): AddressVerdict {
  if (isInside(address, METADATA)) return 'metadata';
  const range = address.range();
  const refusal = IPV6_REFUSALS[range];
  if (refusal !== undefined) return refusal;
  if (isInside(address, IPV4_COMPATIBLE)) return 'ipv4_in_ipv6';
  return range === 'unicast' && isInside(address, GLOBAL_UNICAST) ? 'allowed' : 'reserved';
}
