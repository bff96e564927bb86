import { AbortMultipartUploadCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { isMissing } from './s3-errors.ts';
import { type Bucket, listObjects, listUploads } from './s3-listing.ts';

/** S3 deletes no more at once. */
const DELETED_AT_ONCE = 1_000;

/**
 * Deletes every object below the prefix, and aborts every upload: before the objects, because an upload that is
 * completed meanwhile becomes one.
 */
export async function deleteBelow(bucket: Bucket, prefix: string): Promise<void> {
  for await (const { key, uploadId } of listUploads(bucket, prefix)) await abortUpload(bucket, key, uploadId);
  let keys: string[] = [];
  for await (const { key } of listObjects(bucket, prefix)) {
    keys.push(key);
    if (keys.length < DELETED_AT_ONCE) continue;
    await deleteObjects(bucket, keys);
    keys = [];
  }
  if (keys.length > 0) await deleteObjects(bucket, keys);
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
