import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { DownloadLinks } from '../storage.ts';

/** S3 signs no longer than this. */
const MAX_LIFETIME_SECONDS = 7 * 86_400;

export interface S3LinkDeps {
  readonly client: S3Client;
  readonly bucket: string;
  readonly keyOf: (path: string) => string;
  readonly now: () => number;
}

/**
 * Links that S3 serves by itself. One that is signed with temporary credentials ends when those do, so their end is
 * what `expiresAt` says then.
 */
export function createS3Links({ client, bucket, keyOf, now }: S3LinkDeps): DownloadLinks {
  return {
    async presign(path, expiresAtMs) {
      const Key = keyOf(path);
      const { expiration } = await client.config.credentials();
      const endsAtMs = Math.min(expiresAtMs, expiration?.getTime() ?? Infinity);
      const nowSeconds = Math.floor(now() / 1_000);
      const wantedSeconds = Math.floor(endsAtMs / 1_000) - nowSeconds;
      // Less than a second is no lifetime to S3; what has ended already is for the caller to know.
      const expiresIn = Math.min(Math.max(wantedSeconds, 1), MAX_LIFETIME_SECONDS);
      const name = path.slice(path.lastIndexOf('/') + 1);
      const url = await getSignedUrl(
        client,
        new GetObjectCommand({
          Bucket: bucket,
          Key,
          ResponseContentDisposition: `attachment; filename="${name}"`,
        }),
        { expiresIn, signingDate: new Date(nowSeconds * 1_000) },
      );
      return { url, expiresAt: new Date((nowSeconds + expiresIn) * 1_000) };
    },
  };
}
