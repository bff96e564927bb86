import { type Cidr, checkAddress, isOpened } from './address-rules.ts';

export interface DeliveryRules {
  /** Networks the operator opened, `DELIVERY_ALLOW_NETWORKS`. */
  readonly allowNetworks: readonly Cidr[];
  /** `DELIVERY_ALLOW_HTTP`. */
  readonly allowHttp: boolean;
}

/** Ports where web servers answer. A delivery must not be a way to talk to a mail server or a database. */
const PORTS: ReadonlySet<string> = new Set(['443', '80', '8443', '8080']);

const MAX_URL_CHARACTERS = 2_048;

/**
 * What is wrong with an endpoint's URL, as a text for its owner, or undefined when it may be kept. A host that is a
 * name is looked up only when a delivery connects, and each address it has is checked there once more.
 */
export function findUrlProblem(
  text: string,
  { allowNetworks, allowHttp }: DeliveryRules,
): string | undefined {
  if (text.length > MAX_URL_CHARACTERS) return `must have at most ${MAX_URL_CHARACTERS} characters`;
  // URL parsers drop tabs and line breaks without a word; what is kept must be what was meant.
  if (/[^\x21-\x7e]/.test(text))
    return 'must be printable ASCII without spaces; write other characters percent-encoded';
  // Of these, too, parsers make something else: `https:/a` becomes `https://a`, and a backslash a slash.
  const isWhole = /^[a-z][a-z\d+.-]*:\/\/[^/?#]/i.test(text) && !text.includes('\\');
  const url = isWhole ? URL.parse(text) : null;
  if (url === null) return 'must be an absolute URL';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must be an https URL';
  if (url.protocol === 'http:' && !allowHttp) return 'must be https; plain http is not allowed here';
  if (url.username !== '' || url.password !== '') return 'must not carry a user name or password';
  const literal = literalAddress(url.hostname);
  const verdict = literal === undefined ? undefined : checkAddress(literal, allowNetworks);
  if (verdict !== undefined && verdict !== 'allowed') {
    return `must not point to this address (${verdict}); deliveries go to public addresses only`;
  }
  // A name may lie in an allowed network; only the delivery knows, and it checks the port with the address.
  const isOpen = literal === undefined ? allowNetworks.length > 0 : isOpened(literal, allowNetworks);
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  if (!PORTS.has(port) && !isOpen) return `must use one of the ports ${[...PORTS].join(', ')}, not ${port}`;
  return undefined;
}

/** Whether a delivery may connect to this port of an address that is allowed. */
export function isPortAllowed(port: number, address: string, allowNetworks: readonly Cidr[]): boolean {
  return PORTS.has(String(port)) || isOpened(address, allowNetworks);
}

/** The address a host stands for without a look-up; `localhost` and its subdomains are loopback by definition (RFC 6761). */
function literalAddress(hostname: string): string | undefined {
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  const name = hostname.replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return '127.0.0.1';
  return /^[0-9.]+$/.test(name) ? name : undefined;
}
