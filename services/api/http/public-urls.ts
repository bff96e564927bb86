/** Every URL that leaves the api is made here, so that none forgets the path that `PUBLIC_URL` puts in front. */
export interface PublicUrls {
  /** What `PUBLIC_URL` has as its path, without a slash at the end: `/tandem/v1`, or nothing. */
  prefix(): string;
  /** A path of this API as an absolute URL. `''`: the API itself. */
  absolute(path: string): string;
  /** A path of this API for `Location` and links: right behind any host name that a client reached it by. */
  path(path: string): string;
}

/** `publicUrl` is asked each time, because the port may be known only once the api listens. */
export function createPublicUrls(publicUrl: () => string): PublicUrls {
  const base = () => publicUrl().replace(/\/+$/, '');
  const prefix = () => {
    const url = base();
    return url === '' ? '' : new URL(url).pathname.replace(/\/+$/, '');
  };
  return { prefix, absolute: (path) => `${base()}${path}`, path: (path) => `${prefix()}${path}` };
}
