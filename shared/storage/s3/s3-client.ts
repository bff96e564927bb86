import { S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from './s3-location.ts';

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
export function createS3Client({ endpoint, region }: Pick<S3Location, 'endpoint' | 'region'>): S3Client {
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

/** For presigning: checksums are for whoever reads the answer, so a link must not ask for them in its query. */
export function createSigningClient({ endpoint, region, publicEndpoint }: S3Location): S3Client {
  const reached = publicEndpoint ?? endpoint;
  return new S3Client({
    ...(reached === undefined ? {} : { endpoint: reached, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}
