import { SetupError } from '../../runtime/errors.ts';
import { pathSegments } from '../storage.ts';

/** Where in which bucket files are kept, as `STORAGE_URL` says it. */
export interface S3Location {
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
  /** Undefined: Amazon's own, by region. */
  readonly endpoint: string | undefined;
  /** Undefined: what the standard AWS settings say. */
  readonly region: string | undefined;
  /** Where customers reach the endpoint, when it has another address for them. */
  readonly publicEndpoint: string | undefined;
}

/** With the longest path in storage this stays below the 1,024 bytes that a key may have. */
const MAX_PREFIX_LENGTH = 100;

/** Servers other than Amazon's mostly have no regions, yet a request is signed for one. */
const REGION_OF_OTHERS = 'us-east-1';

const PARAMETERS = ['endpoint', 'region', 'public_endpoint'];

/**
 * Reads `s3://bucket/prefix?endpoint=…&region=…&public_endpoint=…`.
 *
 * @throws SetupError naming everything that is wrong with it
 */
export function parseS3Location(url: string): S3Location {
  const findings: string[] = [];
  const parsed = URL.parse(url);
  if (parsed?.protocol !== 's3:') throw unusable(['it must begin with s3://']);
  const { hostname: bucket, searchParams } = parsed;
  if (parsed.username !== '' || parsed.password !== '') {
    findings.push(
      'it must not hold keys, since it is logged; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    );
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || parsed.port !== '' || parsed.hash !== '') {
    findings.push(
      'it must be s3:// followed by the name of a bucket, with a server of your own as ?endpoint=',
    );
  }
  for (const name of new Set(searchParams.keys())) {
    if (!PARAMETERS.includes(name)) findings.push(`it knows ${PARAMETERS.join(', ')}, and no "${name}"`);
    else if (searchParams.getAll(name).length > 1) findings.push(`it has ${name} twice`);
  }
  const httpUrl = (name: string): string | undefined => {
    const value = searchParams.get(name);
    if (value === null) return undefined;
    if (!/^https?:\/\/[^/?#@]+\/?$/.test(value) || !URL.canParse(value)) {
      findings.push(`${name} must be an http or https URL without path, not "${value}"`);
    }
    return value;
  };
  const prefix = parsed.pathname.replace(/^\/|\/$/g, '');
  if (prefix !== '' && !isPrefix(prefix)) {
    findings.push(
      `the prefix must be of letters, digits and . _ - between slashes, and of ${MAX_PREFIX_LENGTH} characters at most`,
    );
  }
  const endpoint = httpUrl('endpoint');
  const publicEndpoint = httpUrl('public_endpoint');
  const region = searchParams.get('region') ?? (endpoint === undefined ? undefined : REGION_OF_OTHERS);
  if (region !== undefined && !/^[a-z0-9-]{1,40}$/.test(region)) {
    findings.push(`region must be a name such as eu-central-1, not "${region}"`);
  }
  if (publicEndpoint !== undefined && endpoint === undefined) {
    findings.push('public_endpoint is another address of endpoint, so it needs one');
  }
  if (findings.length > 0) throw unusable(findings);
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/`, endpoint, region, publicEndpoint };
}

function isPrefix(prefix: string): boolean {
  try {
    pathSegments(prefix);
    return prefix.length <= MAX_PREFIX_LENGTH;
  } catch {
    return false;
  }
}

function unusable(findings: readonly string[]): SetupError {
  return new SetupError('STORAGE_URL is not usable', findings);
}
