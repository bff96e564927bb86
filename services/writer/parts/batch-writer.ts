import type { ChunkAttempt, CurrentChunk } from '../../../shared/control/chunks/chunk-attempts.ts';
import type { WriterFailure } from '../../../shared/control/exports/end-export.ts';
import { type RowPlace, RowPlaceReader } from '../../../shared/kafka/internals/row-headers.ts';
import type { MessageHeaders } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { inSpan } from '../../../shared/runtime/tracing.ts';
import {
  StorageFullError,
  StorageNotFoundError,
  StorageRefusedError,
} from '../../../shared/storage/storage.ts';
import { UnreadableMessageError } from '../../../shared/values/avro-reader.ts';
import { ForeignSchemaError } from '../../../shared/values/row-schema.ts';
import { readRegistryId } from '../../../shared/values/wire-format.ts';
import type { ChunkControl } from './chunk-control.ts';
import {
  rowsMissing,
  rowUnreadable,
  storageFull,
  storageRefused,
  tooManyOpenChunks,
  wrongRowCount,
} from './chunk-failures.ts';
import { FinishingChunks } from './finishing-chunks.ts';
import type { Part } from './part.ts';
import { classifyRow, type OpenChunk, type PartitionState, StaleAttempts } from './partition-states.ts';
import type { RowCodecs } from './row-codecs.ts';

/** Between two heartbeats; a few milliseconds of decoding. kafkajs itself limits how many it sends. */
const ROWS_PER_HEARTBEAT = 512;

export interface RowMessage {
  readonly value: Buffer | null;
  readonly headers?: MessageHeaders;
  readonly offset: string;
}

/** The consumer of a batch: its group needs heartbeats while the batch is processed. */
export interface BatchHold {
  heartbeat(): Promise<void>;
  /** False once the service stops: the rest of the batch may be skipped. */
  isRunning(): boolean;
}

export interface BatchWriterDeps {
  readonly control: ChunkControl;
  readonly codecs: RowCodecs;
  readonly createPart: (chunkAttempt: ChunkAttempt, chunk: CurrentChunk) => Part;
  /** Limit of open chunks in this process; each keeps a file open. */
  readonly maxOpenChunks: number;
  readonly openChunkCount: () => number;
  readonly onWritten: (chunkAttempt: ChunkAttempt, rowCount: number) => void;
  readonly onFailed: (chunkAttempt: ChunkAttempt) => void;
  readonly log: Log;
}

/**
 * Writes rows to parts. A crash is harmless because of the order: rows appended, part durable under its name, part recorded
 * in the control store, and only then the chunk closed, which lets the partition's offset pass its first row. A writer that
 * reads the rows again finds the chunk recorded, or writes it again from its first row.
 */
export class BatchWriter {
  readonly #deps: BatchWriterDeps;
  readonly #stale = new StaleAttempts();
  readonly #places = new RowPlaceReader();

  constructor(deps: BatchWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Appends a batch's rows to their parts, and finishes the chunks whose last row it holds. A batch may be repeated from any
   * offset at or after the partition's floor: rows that were already appended are dropped.
   *
   * @returns false when the service stops before the batch is done
   * @throws a permanent error of storage or the control store: the process has to end, and the rows are read again
   */
  async write(
    partitionState: PartitionState,
    messages: readonly RowMessage[],
    hold: BatchHold,
  ): Promise<boolean> {
    const finishing = new FinishingChunks();
    try {
      return await this.#append(partitionState, messages, hold, finishing);
    } finally {
      // Also after a failure: no other member may get the partition while work on it continues.
      await finishing.all();
    }
  }

  async #append(
    partitionState: PartitionState,
    messages: readonly RowMessage[],
    hold: BatchHold,
    finishing: FinishingChunks,
  ): Promise<boolean> {
    const touched = new Set<OpenChunk<Part>>();
    let foreignCount = 0;
    let rowsToHeartbeat = 0;
    for (const message of messages) {
      if (rowsToHeartbeat === 0) {
        await hold.heartbeat();
        if (!hold.isRunning()) return false;
        rowsToHeartbeat = ROWS_PER_HEARTBEAT;
      }
      rowsToHeartbeat -= 1;
      const row = this.#places.read(message);
      if (row === undefined) {
        foreignCount += 1;
        continue;
      }
      let open = partitionState.chunks.find(row.exportId, row.chunk);
      let rowClass = classifyRow(open, row);
      if (rowClass === 'ask') {
        if (open?.isWhole === true) {
          await finishing.of(open);
          open = partitionState.chunks.find(row.exportId, row.chunk);
        }
        open = await this.#admit(partitionState, open, row, message, hold);
        rowClass = open === undefined ? 'drop' : classifyRow(open, row);
      }
      if (open === undefined || rowClass === 'drop') continue;
      if (rowClass === 'hole') {
        await this.giveUp(partitionState, open, rowsMissing(open.chunkAttempt, open.nextSeq, row.seq));
        continue;
      }
      // Most rows need no await: a promise per row would cost as much as the row itself.
      if (!this.#appendNow(open, message) && !(await this.#appendSlowly(partitionState, open, message, hold)))
        continue;
      touched.add(open);
      if (open.part.wantsFlush) await this.#flush(partitionState, open, hold);
      if (!row.isLast) continue;
      touched.delete(open);
      const finished = open;
      const { traceparent } = row;
      await finishing.begin(open, () => this.#finishTraced(partitionState, finished, hold, traceparent));
    }
    for (const open of touched) await this.#flush(partitionState, open, hold);
    if (foreignCount > 0) {
      const { topic, partition } = partitionState;
      this.#deps.log.warn('rows.passed_over', { topic, partition, foreignCount });
    }
    return true;
  }

  /** Closes a chunk without a result and fails its export, if its attempt is still current. */
  async giveUp(partitionState: PartitionState, open: OpenChunk<Part>, failure: WriterFailure): Promise<void> {
    const { control, onFailed, log } = this.#deps;
    await this.drop(partitionState, open);
    if (!(await control.fail(open.chunkAttempt, failure))) return;
    log.error('export.failed', { ...open.chunkAttempt, ...failure });
    onFailed(open.chunkAttempt);
  }

  /** Closes an obsolete chunk. */
  async drop(partitionState: PartitionState, open: OpenChunk<Part>): Promise<void> {
    partitionState.chunks.remove(open);
    this.#stale.add(open.chunkAttempt);
    // Storage that refuses a write may refuse this too. The sweeper removes the rest with the export's folder.
    await open.part.discard().catch((error: unknown) => {
      this.#deps.log.warn('part.not_discarded', { ...open.chunkAttempt, error });
    });
  }

  /** Opens the row's chunk, if its attempt is current. It replaces an earlier attempt at the chunk. */
  async #admit(
    partitionState: PartitionState,
    earlier: OpenChunk<Part> | undefined,
    { exportId, chunk, attempt }: RowPlace,
    { offset }: RowMessage,
    hold: BatchHold,
  ): Promise<OpenChunk<Part> | undefined> {
    const { control, createPart, maxOpenChunks, openChunkCount } = this.#deps;
    const chunkAttempt: ChunkAttempt = { exportId, resource: partitionState.resource, chunk, attempt };
    if (this.#stale.has(chunkAttempt)) return undefined;
    const current = await whileHeartbeating(hold.heartbeat, () => control.find(chunkAttempt));
    if (current === undefined) {
      this.#stale.add(chunkAttempt);
      return undefined;
    }
    if (earlier !== undefined) await this.drop(partitionState, earlier);
    const open: OpenChunk<Part> = {
      chunkAttempt,
      firstOffset: BigInt(offset),
      openedAtMs: Date.now(),
      rowsPlanned: current.rowsPlanned,
      part: createPart(chunkAttempt, current),
      nextSeq: 0,
      isWhole: false,
    };
    partitionState.chunks.add(open);
    if (openChunkCount() <= maxOpenChunks) return open;
    await this.giveUp(partitionState, open, tooManyOpenChunks(maxOpenChunks));
    return undefined;
  }

  /** @returns false, and does nothing, when the row needs a codec that is not loaded */
  #appendNow(open: OpenChunk<Part>, { value }: RowMessage): boolean {
    if (value === null) return false;
    try {
      const schemaId = readRegistryId(value);
      const codec = this.#deps.codecs.get(schemaId, open.chunkAttempt.resource);
      if (codec === undefined) return false;
      open.part.add(codec, schemaId, value);
    } catch (error) {
      if (error instanceof UnreadableMessageError) return false;
      throw error;
    }
    open.nextSeq += 1;
    return true;
  }

  /** @returns false when the row is unreadable, which closes the chunk */
  async #appendSlowly(
    partitionState: PartitionState,
    open: OpenChunk<Part>,
    { value }: RowMessage,
    hold: BatchHold,
  ): Promise<boolean> {
    const { codecs, log } = this.#deps;
    let tried: number | undefined;
    try {
      if (value === null) throw new UnreadableMessageError('it is empty');
      const schemaId = readRegistryId(value);
      tried = schemaId;
      const { resource } = open.chunkAttempt;
      const codec =
        codecs.get(schemaId, resource) ??
        (await whileHeartbeating(hold.heartbeat, () => codecs.load(schemaId, resource)));
      open.part.add(codec, schemaId, value);
    } catch (error) {
      if (!(error instanceof UnreadableMessageError || error instanceof ForeignSchemaError)) throw error;
      if (tried !== undefined) codecs.forget(tried);
      log.error('row.refused', { ...open.chunkAttempt, seq: open.nextSeq, error });
      await this.giveUp(partitionState, open, rowUnreadable(open.chunkAttempt, open.nextSeq));
      return false;
    }
    open.nextSeq += 1;
    return true;
  }

  /** The last row carries the trace context, and the span starts at the first row. */
  #finishTraced(
    partitionState: PartitionState,
    open: OpenChunk<Part>,
    hold: BatchHold,
    parent: string | undefined,
  ): Promise<void> {
    if (parent === undefined) return this.#finish(partitionState, open, hold);
    const { exportId, resource, chunk, attempt } = open.chunkAttempt;
    const attributes = {
      'messaging.system': 'kafka',
      'messaging.destination.name': partitionState.topic,
      'messaging.destination.partition.id': String(partitionState.partition),
      'tandem.export_id': exportId,
      'tandem.resource': resource,
      'tandem.chunk': chunk,
      'tandem.attempt': attempt,
      'tandem.rows': open.nextSeq,
    };
    const start = { kind: 'consumer', parent, startedAtMs: open.openedAtMs, attributes } as const;
    return inSpan('write part', start, () => this.#finish(partitionState, open, hold));
  }

  async #finish(partitionState: PartitionState, open: OpenChunk<Part>, hold: BatchHold): Promise<void> {
    const { control, onWritten, log } = this.#deps;
    const { chunkAttempt, part, nextSeq: rows, rowsPlanned } = open;
    if (rows !== rowsPlanned) {
      await this.giveUp(partitionState, open, wrongRowCount(chunkAttempt, rowsPlanned, rows));
      return;
    }
    if (!(await this.#onStorage(partitionState, open, () => part.commit(), hold))) return;
    const { path, bytes, schemaId } = part;
    const isRecorded = await whileHeartbeating(hold.heartbeat, () =>
      control.recordWritten(chunkAttempt, { path, rows, bytes, schemaId }),
    );
    if (!isRecorded) {
      await this.drop(partitionState, open);
      await part.remove();
      return;
    }
    partitionState.chunks.remove(open);
    this.#stale.add(chunkAttempt);
    log.info('chunk.written', { ...chunkAttempt, rows, bytes });
    onWritten(chunkAttempt, rows);
  }

  #flush(partitionState: PartitionState, open: OpenChunk<Part>, hold: BatchHold): Promise<boolean> {
    return this.#onStorage(partitionState, open, () => open.part.flush(), hold);
  }

  /** @returns false when storage is full or refuses, or the export has ended; then the chunk is closed */
  async #onStorage(
    partitionState: PartitionState,
    open: OpenChunk<Part>,
    step: () => Promise<void>,
    hold: BatchHold,
  ): Promise<boolean> {
    if (!partitionState.chunks.has(open)) return false;
    try {
      await whileHeartbeating(hold.heartbeat, step);
      return true;
    } catch (error) {
      if (error instanceof StorageFullError) {
        this.#deps.log.error('storage.full', { ...open.chunkAttempt, error });
        await this.giveUp(partitionState, open, storageFull(open.chunkAttempt));
        return false;
      }
      if (error instanceof StorageRefusedError) {
        this.#deps.log.error('storage.refused', { ...open.chunkAttempt, error });
        await this.giveUp(partitionState, open, storageRefused(open.chunkAttempt));
        return false;
      }
      // The sweeper removes parts of an ended export, even while one is being written.
      if (
        error instanceof StorageNotFoundError &&
        (await this.#deps.control.find(open.chunkAttempt)) === undefined
      ) {
        await this.drop(partitionState, open);
        return false;
      }
      throw error;
    }
  }
}

/** Well below the group's session timeout of 10 s. kafkajs itself sends no more than one heartbeat per interval. */
const HEARTBEAT_EVERY_MS = 1_500;

/**
 * Sends heartbeats during slow work, such as a sync on a busy disk or a restart of the control store; kafkajs sends none
 * while a batch is processed. A failed heartbeat is not thrown here, where it would hide that the work was done: the next
 * heartbeat fails the same way.
 */
async function whileHeartbeating<T>(heartbeat: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => {
    heartbeat().catch(() => undefined);
  }, HEARTBEAT_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
