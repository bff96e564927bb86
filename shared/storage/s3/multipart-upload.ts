import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { FilledPart } from './part-buffer.ts';
import { isMissing } from './s3-errors.ts';

/** Of one file: enough that the next part is filled while one is on its way. */
const MAX_PARTS_IN_FLIGHT = 2;

export interface UploadTarget {
  readonly client: S3Client;
  readonly bucket: string;
  readonly key: string;
  readonly contentType: string;
}

/** An object that is sent in parts, and that nobody sees before `complete`. Calls must be awaited one after the other. */
export class MultipartUpload {
  readonly #target: UploadTarget;
  readonly #slots: UploadSlots;
  readonly #uploadId: string;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #digests: Buffer[] = [];
  readonly #completed: CompletedPart[] = [];
  #failure: { readonly error: unknown } | undefined;

  private constructor(target: UploadTarget, slots: UploadSlots, uploadId: string) {
    this.#target = target;
    this.#slots = slots;
    this.#uploadId = uploadId;
  }

  static async start(target: UploadTarget, slots: UploadSlots): Promise<MultipartUpload> {
    const { client, bucket, key, contentType } = target;
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({
        Bucket: bucket,
        Key: key,
        ContentType: contentType,
        ChecksumAlgorithm: 'SHA256',
      }),
    );
    if (UploadId === undefined) throw new Error(`the upload of ${key} was started and got no ID`);
    return new MultipartUpload(target, slots, UploadId);
  }

  /** Parts sent so far, also those still on their way. */
  get partCount(): number {
    return this.#digests.length;
  }

  /** Returns once the part is on its way, and throws what an earlier one failed with. */
  async send(part: FilledPart): Promise<void> {
    while (this.#inFlight.size >= MAX_PARTS_IN_FLIGHT) await Promise.race(this.#inFlight);
    const giveBack = await this.#slots.take();
    if (this.#failure !== undefined) {
      giveBack();
      throw this.#failure.error;
    }
    const partNumber = this.#digests.push(part.digest);
    const sending = this.#sendPart(partNumber, part)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        giveBack();
        this.#inFlight.delete(sending);
      });
    this.#inFlight.add(sending);
  }

  /** Makes the object appear, whole. Every digest is given once more, so that the server checks what it puts together. */
  async complete(): Promise<void> {
    await Promise.all(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure.error;
    const { client, bucket, key } = this.#target;
    try {
      await client.send(
        new CompleteMultipartUploadCommand({
          Bucket: bucket,
          Key: key,
          UploadId: this.#uploadId,
          MultipartUpload: { Parts: this.#completed },
        }),
      );
    } catch (error) {
      // An answer that got lost makes the client ask again, and then the upload is gone because it was completed.
      if (isMissing(error) && (await this.#isThere())) return;
      throw error;
    }
  }

  /** Gives up what was sent. An upload that is gone already is no error. */
  async abort(): Promise<void> {
    // A part that comes in after the abort may stay for ever, so those on their way are waited for.
    await Promise.all(this.#inFlight);
    const { client, bucket, key } = this.#target;
    try {
      await client.send(
        new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: this.#uploadId }),
      );
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async #sendPart(partNumber: number, { body, digest }: FilledPart): Promise<void> {
    const { client, bucket, key } = this.#target;
    const checksum = digest.toString('base64');
    const { ETag } = await client.send(
      new UploadPartCommand({
        Bucket: bucket,
        Key: key,
        UploadId: this.#uploadId,
        PartNumber: partNumber,
        Body: body,
        ContentLength: body.length,
        ChecksumSHA256: checksum,
      }),
    );
    this.#completed[partNumber - 1] = { PartNumber: partNumber, ETag, ChecksumSHA256: checksum };
  }

  /** Whether the object at the key is made of exactly these parts: S3 keeps the digest of their digests. */
  async #isThere(): Promise<boolean> {
    const { client, bucket, key } = this.#target;
    const found = await client.send(
      new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: 'ENABLED' }),
    );
    const digest = createHash('sha256').update(Buffer.concat(this.#digests)).digest('base64');
    return found.ChecksumSHA256 === `${digest}-${this.#digests.length}`;
  }
}

/**
 * Lets a limited number of uploads run at once, first come first served. Each holds its part in memory while it
 * runs, so this is what bounds that memory over all the files being written.
 */
export class UploadSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** @returns what gives the slot back; to be called once, whatever came of the upload */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    // A request that gives a slot back hands it to the one that waits longest, so it is never free in between.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return () => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
