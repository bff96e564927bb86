import dns from 'node:dns';

/** An unanswered query is sent once more, so a name fails after about six seconds. */
const QUERY = { timeout: 2_000, tries: 2 };

/** Limit of concurrent look-ups by the operating system. Each occupies one of the process's four threads. */
const MAX_SYSTEM_LOOKUPS = 2;

/** The name servers don't know the name, or there are none: it may be local to this machine or cluster. */
const MAY_BE_LOCAL: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA', 'ECONNREFUSED', 'ENONAME']);

export type ResolveName = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
) => void;

type Lookup = (hostname: string) => Promise<dns.LookupAddress[]>;

/**
 * Resolves names without the process's four threads. The operating system's look-up occupies a thread until the name
 * server answers, so four names of one customer with a silent name server would block all look-ups, including that of
 * the control store. Names that no name server knows, such as those in `/etc/hosts`, are then looked up by the
 * operating system, a few at a time. Concurrent look-ups of one name share a query.
 */
export function createNameResolver(
  servers?: readonly string[],
  system: Lookup = (hostname) => dns.promises.lookup(hostname, { all: true }),
): ResolveName {
  const resolver = new dns.promises.Resolver(QUERY);
  if (servers !== undefined) resolver.setServers(servers);
  const underWay = new Map<string, Promise<dns.LookupAddress[]>>();
  const waiting: (() => void)[] = [];
  let systemCount = 0;

  const lookUp: Lookup = async (hostname) => {
    while (systemCount >= MAX_SYSTEM_LOOKUPS) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
    }
    systemCount += 1;
    try {
      return await system(hostname);
    } finally {
      systemCount -= 1;
      waiting.shift()?.();
    }
  };

  const query: Lookup = async (hostname) => {
    // A name without a dot does not exist on the Internet.
    if (!hostname.includes('.')) return lookUp(hostname);
    const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const found = [
      ...(four.status === 'fulfilled' ? four.value : []).map((address) => ({ address, family: 4 })),
      ...(six.status === 'fulfilled' ? six.value : []).map((address) => ({ address, family: 6 })),
    ];
    if (found.length > 0 || four.status === 'fulfilled') return found;
    if (MAY_BE_LOCAL.has(four.reason.code)) return lookUp(hostname);
    throw four.reason;
  };

  return (hostname, { family }, callback) => {
    let addresses = underWay.get(hostname);
    if (addresses === undefined) {
      addresses = query(hostname).finally(() => underWay.delete(hostname));
      underWay.set(hostname, addresses);
    }
    const wanted = family === 4 || family === 6 ? [family] : [4, 6];
    addresses.then(
      (all) =>
        callback(
          null,
          all.filter((one) => wanted.includes(one.family)),
        ),
      (error) => callback(error, []),
    );
  };
}
