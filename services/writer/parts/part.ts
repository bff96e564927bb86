import { randomBytes } from 'node:crypto';
import type { ChunkAttempt } from '../../../shared/control/chunks/chunk-attempts.ts';
import type { Staging } from '../../../shared/formats/format.ts';
import { partsFolder } from '../../../shared/protocol/storage-paths.ts';
import type { FileWriter, Storage } from '../../../shared/storage/storage.ts';
import { ByteWriter } from '../../../shared/values/byte-writer.ts';
import type { RowCodec } from '../../../shared/values/row-codec.ts';

/** Lines go to storage once they have this many bytes, so that memory does not hold a large batch twice. */
const FLUSH_BYTES = 1024 * 1024;

/** Buffers kept for reuse; more are in use only while more chunks are interleaved. */
const MAX_KEPT_BUFFERS = 8;

const NEW_LINE = 0x0a;

/** Creates parts and shares buffers among them: a part needs one only while a batch is written. */
export class PartStore {
  readonly storage: Storage;
  readonly #buffers: ByteWriter[] = [];

  constructor(storage: Storage) {
    this.storage = storage;
  }

  /** @param fields columns of the lines; null for all */
  create(chunkAttempt: ChunkAttempt, staging: Staging, fields: readonly string[] | null = null): Part {
    return new Part(this, chunkAttempt, staging, fields);
  }

  takeBuffer(): ByteWriter {
    return this.#buffers.pop() ?? new ByteWriter();
  }

  giveBack(buffer: ByteWriter): void {
    buffer.reset();
    if (this.#buffers.length < MAX_KEPT_BUFFERS) this.#buffers.push(buffer);
  }
}

/**
 * Writes the rows of one chunk to storage as lines.
 *
 * Its name is unique: two writers of the same attempt (after a rebalance that one of them has not noticed) write two files, and
 * the control store keeps the one recorded first. So the other writer may remove its own.
 */
export class Part {
  readonly path: string;
  /** Registry ID of the latest row's schema. All rows of a chunk have one schema. */
  schemaId = 0;
  readonly #store: PartStore;
  readonly #staging: Staging;
  readonly #only: ReadonlySet<string> | undefined;
  #file: FileWriter | undefined;
  #buffer: ByteWriter | undefined;

  constructor(
    store: PartStore,
    { exportId, resource, chunk, attempt }: ChunkAttempt,
    staging: Staging,
    fields: readonly string[] | null,
  ) {
    const suffix = randomBytes(6).toString('hex');
    this.#store = store;
    this.#staging = staging;
    this.#only = fields === null ? undefined : new Set(fields);
    this.path = `${partsFolder(exportId)}/${resource}/${chunk}-${attempt}-${suffix}.jsonl`;
  }

  /** Bytes written to storage; complete after `commit`. */
  get bytes(): number {
    return this.#file?.bytes ?? 0;
  }

  /** Adds a row message as a line. @throws UnreadableMessageError, after which the part is unusable */
  add(codec: RowCodec, schemaId: number, message: Buffer): void {
    this.schemaId = schemaId;
    this.#buffer ??= this.#store.takeBuffer();
    if (this.#staging === 'json') codec.appendJson(message, this.#buffer, this.#only);
    else codec.appendTexts(message, this.#buffer, this.#only);
    this.#buffer.writeByte(NEW_LINE);
  }

  get wantsFlush(): boolean {
    return this.#buffer !== undefined && this.#buffer.length >= FLUSH_BYTES;
  }

  /** Writes the buffered lines to storage. @throws StorageFullError */
  async flush(): Promise<void> {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    const file = await this.#openFile();
    await file.append(buffer.bytes.subarray(0, buffer.length));
    this.#store.giveBack(buffer);
  }

  /** The part is durable under `path` when this returns. @throws StorageFullError */
  async commit(): Promise<void> {
    await this.flush();
    const file = await this.#openFile();
    await file.commit();
  }

  /**
   * Discards an uncommitted part. A committed part stays, because the control store may already name it even if its response was
   * lost; otherwise the part goes with the export's folder. May be called twice.
   */
  async discard(): Promise<void> {
    this.#buffer = undefined;
    await this.#file?.abort();
  }

  /** Removes a part that the control store certainly does not name. */
  async remove(): Promise<void> {
    await this.discard();
    await this.#store.storage.delete(this.path);
  }

  async #openFile(): Promise<FileWriter> {
    this.#file ??= await this.#store.storage.openWriter(this.path);
    return this.#file;
  }
}
