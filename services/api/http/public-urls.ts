/** Makes every URL that leaves the api, so that each has the path of `PUBLIC_URL` in front. */
export interface PublicUrls {
  /** The path of `PUBLIC_URL`, without a slash at the end: `/tandem/v1`, or nothing. */
  prefix(): string;
  /** Scheme, host and port of `PUBLIC_URL`; undefined where it is not set. */
  origin(): string | undefined;
  /** A path of this API as an absolute URL. `''`: the API itself. */
  absolute(path: string): string;
  /** A path of this API for `Location` and links: correct behind any host name. */
  path(path: string): string;
  /** A path of this API as an identifier: absolute where `PUBLIC_URL` is set, else a relative reference. */
  reference(path: string): string;
}

/**
 * `publicUrl` is called each time, because the port may be known only once the api listens. An address that is
 * only where the api listens, and not set as its public one, identifies nothing: `isSet` is false then.
 */
export function createPublicUrls(publicUrl: () => string, isSet = true): PublicUrls {
  const base = () => publicUrl().replace(/\/+$/, '');
  // Every request asks for the prefix, also one that is refused: the URL is parsed when it changes, which it does once.
  let parsed = { url: '', prefix: '' };
  const prefix = () => {
    const url = publicUrl();
    if (url !== parsed.url) parsed = { url, prefix: new URL(url).pathname.replace(/\/+$/, '') };
    return parsed.prefix;
  };
  const absolute = (path: string) => `${base()}${path}`;
  const path = (own: string) => `${prefix()}${own}`;
  const origin = () => (isSet ? new URL(base()).origin : undefined);
  return { prefix, origin, absolute, path, reference: isSet ? absolute : path };
}
