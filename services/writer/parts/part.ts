import { randomBytes } from 'node:crypto';
import type { ChunkAttempt } from '../../../shared/control/chunks/chunk-attempt.ts';
import type { Staging } from '../../../shared/formats/format.ts';
import { partsFolder } from '../../../shared/protocol/storage-paths.ts';
import type { FileWriter, Storage } from '../../../shared/storage/storage.ts';
import { ByteWriter } from '../../../shared/values/byte-writer.ts';
import type { RowCodec } from '../../../shared/values/row-codec.ts';

/** Lines go to storage from this many bytes on, so that a big batch is not held a second time as JSON. */
const FLUSH_BYTES = 1024 * 1024;

/** Buffers kept for the next part; more are only in use while as many chunks come in mixed with each other. */
const MAX_KEPT_BUFFERS = 8;

const NEW_LINE = 0x0a;

/** Where parts are made. Buffers are shared between them, because a part needs one only while a batch is being written. */
export class PartStore {
  readonly storage: Storage;
  readonly #buffers: ByteWriter[] = [];

  constructor(storage: Storage) {
    this.storage = storage;
  }

  /** `fields`: the columns that lines have; null for all. */
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
 * The rows of one chunk as lines, on their way to storage.
 *
 * Its name is its own: two writers that both hold the same try (after a rebalance that one of them has not
 * noticed) write two files, and the control store keeps the first one noted. So the loser may remove its own.
 */
export class Part {
  readonly path: string;
  /** The registry's ID of the schema of the latest row. A reader has one for all rows of a chunk. */
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

  /** Bytes that went to storage; all of them after `commit`. */
  get bytes(): number {
    return this.#file?.bytes ?? 0;
  }

  /** Adds a row message as a line. @throws UnreadableMessageError, and then the part is of no use any more */
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

  /** Hands over what was added. @throws StorageFullError */
  async flush(): Promise<void> {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    const file = await this.#openFile();
    await file.append(buffer.bytes.subarray(0, buffer.length));
    this.#store.giveBack(buffer);
  }

  /** The part is on stable storage under `path` once this returns. @throws StorageFullError */
  async commit(): Promise<void> {
    await this.flush();
    const file = await this.#openFile();
    await file.commit();
  }

  /**
   * Gives up what is not committed yet. A committed part is left alone, because the control store may name it by now even
   * where its answer got lost; if it does not, the part goes with the export's folder. Safe to call twice.
   */
  async discard(): Promise<void> {
    this.#buffer = undefined;
    await this.#file?.abort();
  }

  /** Removes a part that the control store is known not to name. */
  async remove(): Promise<void> {
    await this.discard();
    await this.#store.storage.delete(this.path);
  }

  async #openFile(): Promise<FileWriter> {
    this.#file ??= await this.#store.storage.openWriter(this.path);
    return this.#file;
  }
}
