import type { ChunkPart, ResourceParts } from '../../../shared/control/exports/assembly.ts';
import type { MergedRecord } from '../../../shared/control/exports/chunk-merge.ts';
import type { RowTexts, RowType } from '../../../shared/domain/row-type.ts';
import type { Bytes, Staging } from '../../../shared/formats/format.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { jsonToWireText, readJsonMembers } from '../../../shared/values/json-members.ts';
import { createRowJson } from '../../../shared/values/json-text.ts';

// The lines of a chunked export: those of the parts, with the records replaced that changed after their chunk was read.

/** The content of the lines. */
export interface MergedLines {
  /** All columns of the records. */
  readonly rowType: RowType;
  /** The columns of the lines. */
  readonly lineType: RowType;
  /** In key order. */
  readonly keyColumns: readonly string[];
  readonly staging: Staging;
}

/**
 * The lines of one resource in key order. Memory holds a piece of a part and a page of records, whatever their number.
 *
 * @param records in the order of the file
 * @throws Error when a record does not fit the parts: nothing may be published then
 */
export async function* mergeLines(
  storage: Storage,
  { parts }: Pick<ResourceParts, 'parts'>,
  records: AsyncIterable<MergedRecord>,
  lines: MergedLines,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { rowType } = lines;
  const { read, print } = createLineForm(lines);
  const line = (record: MergedRecord, partTexts: RowTexts | undefined): Buffer => {
    const { image, recordKey } = record;
    if (image === null) return Buffer.alloc(0);
    if (image.length !== rowType.columns.length) {
      throw new Error(
        `a changed record of ${rowType.resource} has other columns than its rows: ${recordKey}`,
      );
    }
    return print(image, partTexts, recordKey);
  };
  const iterator = records[Symbol.asyncIterator]();
  const next = async (): Promise<MergedRecord | undefined> => {
    signal.throwIfAborted();
    const { done, value } = await iterator.next();
    return done === true ? undefined : value;
  };
  let record = await next();
  for (const part of parts) {
    const reader = new LineReader(piecesOf(storage, part, signal));
    let row = 0;
    for (; record?.chunk === part.chunk; record = await next()) {
      yield* reader.copy(record.partRow - row);
      row = record.partRow;
      if (record.isInPart) {
        const texts = read(await reader.take(), record.recordKey);
        row += 1;
        yield line(record, texts);
      } else {
        yield line(record, undefined);
      }
    }
    yield* reader.rest();
  }
  if (record === undefined) return;
  throw new Error(`a changed record of ${rowType.resource} is of chunk ${record.chunk}, which has no part`);
}

async function* piecesOf(storage: Storage, { path }: ChunkPart, signal: AbortSignal): AsyncGenerator<Buffer> {
  if (path === null) return;
  for await (const piece of await storage.openRead(path)) {
    signal.throwIfAborted();
    yield piece as Buffer;
  }
}

/** Reads a line of a part back, and prints a record as one. */
function createLineForm({ lineType, rowType, keyColumns, staging }: MergedLines) {
  const { toJson } = createRowJson(lineType);
  const places = lineType.columns.map(({ name }) => rowType.columns.findIndex((each) => each.name === name));
  const keyPlaces = keyColumns.map((name) => lineType.columns.findIndex((each) => each.name === name));

  const textsOf = (line: string): RowTexts => {
    if (staging === 'texts') return JSON.parse(line);
    const members = readJsonMembers(line);
    return lineType.columns.map(({ name, type }) => {
      const json = members.get(name) ?? 'null';
      return json === 'null' ? null : jsonToWireText(type.kind, json);
    });
  };
  return {
    /** @throws Error when the line is of another record */
    read(line: string, recordKey: string): RowTexts {
      const texts = textsOf(line);
      if (JSON.stringify(keyPlaces.map((place) => texts[place] ?? null)) === recordKey) return texts;
      throw new Error(`a row of ${lineType.resource} is not where it was read: ${recordKey}`);
    },
    print(image: readonly (string | null | false)[], partTexts: RowTexts | undefined, recordKey: string) {
      const texts = places.map((place, at) => {
        const text = image[place] ?? null;
        if (text !== false) return text;
        if (partTexts === undefined)
          throw new Error(`a value of ${lineType.resource} is unknown: ${recordKey}`);
        return partTexts[at] ?? null;
      });
      return Buffer.from(`${staging === 'json' ? toJson(texts) : JSON.stringify(texts)}\n`);
    },
  };
}

const LINE_FEED = 0x0a;

/** Lines of a part, copied or taken one by one. Each ends with a line feed. */
class LineReader {
  readonly #pieces: AsyncIterator<Buffer>;
  #piece: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(pieces: Bytes) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** The next `count` lines, in pieces. @throws Error when there are fewer */
  async *copy(count: number): AsyncGenerator<Buffer> {
    for (let missing = count; missing > 0; ) {
      if (!(await this.#fill())) throw new Error(`a part has ${missing} lines less than it should`);
      const start = this.#at;
      while (missing > 0) {
        const end = this.#piece.indexOf(LINE_FEED, this.#at);
        if (end < 0) {
          this.#at = this.#piece.length;
          break;
        }
        this.#at = end + 1;
        missing -= 1;
      }
      yield this.#piece.subarray(start, this.#at);
    }
  }

  /** The next line, without its line feed. @throws Error when there is none */
  async take(): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const piece of this.copy(1)) pieces.push(piece);
    return Buffer.concat(pieces).toString('utf8').slice(0, -1);
  }

  async *rest(): AsyncGenerator<Buffer> {
    while (await this.#fill()) {
      yield this.#piece.subarray(this.#at);
      this.#at = this.#piece.length;
    }
  }

  async #fill(): Promise<boolean> {
    while (this.#at >= this.#piece.length) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return false;
      this.#piece = value;
      this.#at = 0;
    }
    return true;
  }
}

const BLOCK_BYTES = 256 * 1024;

/** The same bytes in larger pieces, because each costs something on its way to the file. */
export async function* inBlocks(pieces: Bytes): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let byteCount = 0;
  for await (const piece of pieces) {
    gathered.push(piece);
    byteCount += piece.length;
    if (byteCount < BLOCK_BYTES) continue;
    yield gathered.length === 1 ? piece : Buffer.concat(gathered);
    gathered = [];
    byteCount = 0;
  }
  if (byteCount > 0) yield Buffer.concat(gathered);
}
