import { randomBytes } from 'node:crypto';
import {
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { SetupError } from '../../runtime/errors.ts';
import type { Storage } from '../storage.ts';
import { isOutage, s3Code } from './s3-errors.ts';
import { parseS3Location, type S3Location } from './s3-location.ts';
import { createS3Storage } from './s3-storage.ts';

/**
 * Opens the bucket that `STORAGE_URL` names, after trying there what the services need.
 *
 * @throws SetupError when the URL, the credentials or the bucket are not usable, with what to do; Error when the server can't
 *   be reached or has a fault of its own, which a service that is started again may outlast
 */
export async function openS3Storage(url: string): Promise<Storage> {
  const location = parseS3Location(url);
  const { bucket, prefix } = location;
  const client = createS3Client(location);
  try {
    await client.config.region();
  } catch (cause) {
    throw unusable('it has no region; add ?region=… to it or set AWS_REGION', cause);
  }
  try {
    await tryOut(client, bucket, prefix);
  } catch (cause) {
    const finding = probeFinding(location, cause);
    // A set-up error stops all services, which an outage must not do to those that run.
    if (isOutage(cause)) throw new Error(`trying out STORAGE_URL: ${finding}`, { cause });
    throw unusable(finding, cause);
  }
  const signingClient = createSigningClient(location);
  return createS3Storage({ client, signingClient, bucket, prefix, now: Date.now });
}

/** Found out now rather than at the end of somebody's first export. No path in storage begins with a dot. */
async function tryOut(client: S3Client, bucket: string, prefix: string): Promise<void> {
  const Key = `${prefix}.probe-${randomBytes(6).toString('hex')}`;
  await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: '', ContentLength: 0 }));
  await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: Key, MaxKeys: 1 }));
  await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: Key, MaxUploads: 1 }));
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
}

const RIGHTS =
  's3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListBucket and s3:ListBucketMultipartUploads';

/** What is wrong and what to do, by what trying out failed with. */
function probeFinding({ bucket, endpoint }: S3Location, error: unknown): string {
  const code = s3Code(error);
  const at = endpoint === undefined ? '' : ` at ${endpoint}`;
  switch (code) {
    case 'NoSuchBucket':
      return `there is no bucket ${bucket}${at}; make it, or name another`;
    case 'AccessDenied':
      return `the credentials may not do what is needed in ${bucket}${at}: ${RIGHTS}`;
    case 'InvalidAccessKeyId':
    case 'SignatureDoesNotMatch':
    case 'ExpiredToken':
      return `the credentials are refused${at} (${code}); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`;
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
      return `${bucket} is in another region${at}; name it with ?region=`;
  }
  if (code !== undefined) return `${bucket}${at} returned ${code}`;
  if (error instanceof Error && error.name === 'CredentialsProviderError') {
    return 'there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role';
  }
  return `${endpoint ?? 'S3'} can't be reached: ${error instanceof Error ? error.message : String(error)}`;
}

function unusable(finding: string, cause: unknown): SetupError {
  const error = new SetupError('STORAGE_URL is not usable', [finding]);
  error.cause = cause;
  return error;
}

/** Requests that are throttled, cut off or answered 5xx are tried this often, with pauses that double up to 20 s. */
const MAX_ATTEMPTS = 5;

const CONNECT_LIMIT_MS = 5_000;

/** From a request's first byte to the first of its answer: a whole part has to get through at 0.6 Mbit/s. */
const ANSWER_LIMIT_MS = 120_000;

/** Also the longest that a reader may leave a download standing. */
const IDLE_LIMIT_MS = 5 * 60_000;

/** Every file being read holds one; what uploads may hold is limited where they are made. */
const MAX_SOCKETS = 128;

/**
 * A client with limits on everything. Its credentials come from the standard AWS places in their usual order:
 * environment variables, profile files, web identity, the machine's role.
 *
 * Idle connections do not keep the process alive, so nobody has to close it.
 */
function createS3Client({ endpoint, region }: Pick<S3Location, 'endpoint' | 'region'>): S3Client {
  return new S3Client({
    // A server of one's own has one name, and no name for each bucket below it.
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECT_LIMIT_MS,
      requestTimeout: ANSWER_LIMIT_MS,
      throwOnRequestTimeout: true,
      socketTimeout: IDLE_LIMIT_MS,
      httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
    },
  });
}

/** For presigning: checksums are for the reader of the response, so a link must not ask for them in its query. */
function createSigningClient({ endpoint, region, publicEndpoint }: S3Location): S3Client {
  const reached = publicEndpoint ?? endpoint;
  return new S3Client({
    ...(reached === undefined ? {} : { endpoint: reached, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}
