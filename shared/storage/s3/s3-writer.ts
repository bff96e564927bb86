import { PutObjectCommand } from '@aws-sdk/client-s3';
import { type FileWriter, StorageFullError } from '../storage.ts';
import { MultipartUpload, type UploadSlots, type UploadTarget } from './multipart-upload.ts';
import { PartBuffer } from './part-buffer.ts';
import { failingAs } from './s3-errors.ts';

/**
 * Writes one object. What fits into one part is sent in one request at the commit, so that a small file costs one
 * request and a writer that dies leaves nothing; a longer one goes out in parts as they fill up.
 */
export function createS3Writer(path: string, target: UploadTarget, slots: UploadSlots): FileWriter {
  let bytes = 0;
  let state: 'open' | 'committed' | 'aborted' = 'open';
  let part = new PartBuffer(partBytes(1));
  let upload: MultipartUpload | undefined;

  async function sendPart(): Promise<void> {
    upload ??= await MultipartUpload.start(target, slots);
    if (upload.partCount === MAX_PARTS) {
      throw new StorageFullError(path, { cause: new Error(`a file in S3 has ${MAX_PARTS} parts at most`) });
    }
    await upload.send(part.finish());
    part = new PartBuffer(partBytes(upload.partCount + 1));
  }

  return {
    path,
    get bytes() {
      return bytes;
    },
    append: (chunk) =>
      failingAs('writing', path, async () => {
        const data = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        for (let rest = data; rest.length > 0; ) {
          // A full part waits for the byte after it, because until then the file may be of one part.
          if (part.isFull) await sendPart();
          rest = rest.subarray(part.add(rest));
        }
        bytes += data.length;
      }),
    commit: () =>
      failingAs('writing', path, async () => {
        if (upload === undefined) await putWhole(target, part);
        else {
          if (!part.isEmpty) await sendPart();
          await upload.complete();
        }
        state = 'committed';
      }),
    async abort() {
      if (state !== 'open') return;
      state = 'aborted';
      await failingAs('giving up', path, async () => upload?.abort());
    },
  };
}

async function putWhole({ client, bucket, key, contentType }: UploadTarget, part: PartBuffer): Promise<void> {
  const { body, digest } = part.finish();
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: body,
      ContentLength: body.length,
      ContentType: contentType,
      ChecksumSHA256: digest.toString('base64'),
    }),
  );
}

const MEBIBYTE = 1024 * 1024;

/** S3 takes no more parts than this for one object. */
export const MAX_PARTS = 10_000;

const USUAL_PART_BYTES = 8 * MEBIBYTE;
const LARGE_PART_BYTES = 64 * MEBIBYTE;

/** Parts of the usual size; the 39 GiB in them are more than nearly any file has. */
const USUAL_PARTS = 5_000;

/**
 * The size of a part by its number, which begins at 1: small, so that many files can be written at once in little
 * memory, and larger from where a file would run out of parts. A file may so have 351 GiB.
 */
export function partBytes(partNumber: number): number {
  return partNumber <= USUAL_PARTS ? USUAL_PART_BYTES : LARGE_PART_BYTES;
}
