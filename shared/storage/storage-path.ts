const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** Longest path in characters; S3 allows 1,024 bytes with the bucket's own prefix before it. */
const MAX_PATH_LENGTH = 900;

/**
 * The segments of a path in storage. A leading dot is refused, which keeps out `..` and the names of temporary files.
 *
 * @throws RangeError when the path is not usable
 */
export function pathSegments(path: string): string[] {
  const segments = path.split('/');
  if (path.length > MAX_PATH_LENGTH || !segments.every((segment) => SEGMENT.test(segment))) {
    throw new RangeError(`not a path in storage: ${JSON.stringify(path.slice(0, MAX_PATH_LENGTH))}`);
  }
  return segments;
}
