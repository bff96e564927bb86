import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import {
  contentTypeOf,
  type DownloadLinks,
  pathSegments,
  type Storage,
  type StoredFile,
} from '../storage.ts';
import { UploadSlots } from './multipart-upload.ts';
import { failingAs, isMissing, s3Code } from './s3-errors.ts';
import { type Bucket, listNamesBelow, listObjects, listUploads } from './s3-listing.ts';
import { createS3Writer } from './s3-writer.ts';

/** Over all files being written, so that parts on their way hold 64 MiB at most; larger ones come only after 39 GiB. */
const UPLOADS_AT_ONCE = 8;

export interface S3StorageDeps {
  readonly client: S3Client;
  /** Makes links, under the address that customers reach. */
  readonly signingClient: S3Client;
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
  readonly now: () => number;
}

/**
 * Storage in a bucket. An object appears whole or not at all; a folder is nothing but the beginning of keys.
 *
 * Every open writer holds one part of up to 8 MiB in memory, or less when less was written.
 */
export function createS3Storage({ client, signingClient, bucket, prefix, now }: S3StorageDeps): Storage {
  const place: Bucket = { client, bucket };
  const slots = new UploadSlots(UPLOADS_AT_ONCE);
  const keyOf = (path: string): string => prefix + pathSegments(path).join('/');
  const folderKeyOf = (folder: string): string => `${keyOf(folder)}/`;

  async function* list(folderKey: string): AsyncGenerator<StoredFile> {
    for await (const { key, bytes } of listObjects(place, folderKey)) {
      yield { path: key.slice(prefix.length), bytes };
    }
  }

  return {
    links: createS3Links({ client: signingClient, bucket, keyOf, now }),

    async openWriter(path) {
      return createS3Writer(
        path,
        { client, bucket, key: keyOf(path), contentType: contentTypeOf(path) },
        slots,
      );
    },

    async openRead(path, range) {
      const Key = keyOf(path);
      const Range = range && `bytes=${range.start}-${range.end ?? ''}`;
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key, Range }));
        if (Body instanceof Readable) return Body;
        throw new TypeError('the response has no stream for a body');
      } catch (error) {
        // A range that begins at or after the end holds nothing, as in a file.
        if (s3Code(error) === 'InvalidRange') return Readable.from([]);
        return failingAs('reading', path, () => Promise.reject(error));
      }
    },

    async stat(path) {
      const Key = keyOf(path);
      try {
        const { ContentLength: bytes = 0 } = await client.send(
          new HeadObjectCommand({ Bucket: bucket, Key }),
        );
        return { path, bytes };
      } catch (error) {
        if (isMissing(error)) return undefined;
        return failingAs('looking for', path, () => Promise.reject(error));
      }
    },

    async delete(path) {
      const Key = keyOf(path);
      try {
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
      } catch (error) {
        if (!isMissing(error)) throw new Error(`deleting ${path} in S3`, { cause: error });
      }
    },

    async deleteFolder(folder) {
      const folderKey = folderKeyOf(folder);
      await failingAs('deleting folder', folder, () => deleteBelow(place, folderKey));
    },

    list: (folder) => list(folderKeyOf(folder)),

    listNames: (folder) => listNamesBelow(place, folderKeyOf(folder)),
  };
}

/** S3 deletes no more at once. */
const DELETED_AT_ONCE = 1_000;

/** A part that was on its way during an abort can bring its upload back, or stay in it; a further abort removes it. */
const MAX_ABORT_ROUNDS = 5;

/**
 * Deletes every object below the prefix, and aborts every upload: before the objects, because an upload that is
 * completed meanwhile becomes one.
 *
 * @throws Error when uploads keep coming back, because somebody goes on writing; the objects are left for the next try
 */
async function deleteBelow(bucket: Bucket, prefix: string): Promise<void> {
  for (let round = 1; (await abortUploads(bucket, prefix)) > 0; round += 1) {
    if (round === MAX_ABORT_ROUNDS) throw new Error(`uploads below ${prefix} were aborted, and came back`);
  }
  let keys: string[] = [];
  for await (const { key } of listObjects(bucket, prefix)) {
    keys.push(key);
    if (keys.length < DELETED_AT_ONCE) continue;
    await deleteObjects(bucket, keys);
    keys = [];
  }
  if (keys.length > 0) await deleteObjects(bucket, keys);
}

/** @returns how many uploads there were */
async function abortUploads(bucket: Bucket, prefix: string): Promise<number> {
  let count = 0;
  for await (const { key, uploadId } of listUploads(bucket, prefix)) {
    await abortUpload(bucket, key, uploadId);
    count += 1;
  }
  return count;
}

async function abortUpload({ client, bucket }: Bucket, key: string, uploadId: string): Promise<void> {
  try {
    await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function deleteObjects({ client, bucket }: Bucket, keys: readonly string[]): Promise<void> {
  const { Errors: refused = [] } = await client.send(
    new DeleteObjectsCommand({
      Bucket: bucket,
      Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
    }),
  );
  const first = refused.find(({ Code }) => Code !== 'NoSuchKey');
  if (first !== undefined) {
    throw new Error(
      `${refused.length} objects were not deleted; ${first.Key}: ${first.Code} ${first.Message}`,
    );
  }
}

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
