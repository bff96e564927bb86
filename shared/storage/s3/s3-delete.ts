import { AbortMultipartUploadCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { isMissing } from './s3-errors.ts';
import { type Bucket, listObjects, listUploads } from './s3-listing.ts';

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
export async function deleteBelow(bucket: Bucket, prefix: string): Promise<void> {
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
