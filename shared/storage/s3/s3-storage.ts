import { Readable } from 'node:stream';
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { contentTypeOf } from '../content-type.ts';
import { pathSegments, type Storage, type StoredFile } from '../storage.ts';
import { deleteBelow } from './s3-delete.ts';
import { failingAs, isMissing, s3Code } from './s3-errors.ts';
import { createS3Links } from './s3-links.ts';
import { type Bucket, listNamesBelow, listObjects } from './s3-listing.ts';
import { createS3Writer } from './s3-writer.ts';
import { UploadSlots } from './upload-slots.ts';

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
