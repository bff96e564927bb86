import type { IHeaders } from 'kafkajs';
import { ROW_HEADERS, type RowHeaders, toKafkaHeaders } from '../../protocol/headers.ts';
import { writeInteger, writeString } from '../../values/avro-writer.ts';
import { ByteWriter } from '../../values/byte-writer.ts';
import { writeJsonInteger } from '../../values/json-writer.ts';
import type { RecordHeaders } from './record-batch.ts';

const HEADER_COUNT = 5;

/**
 * Writes the headers of one try's rows, the same as `toKafkaHeaders` has them and in the same order. What is the same for all
 * rows is encoded once.
 */
export class RowHeadersWriter implements RecordHeaders {
  seq = 0;
  account = '';
  isLast = false;
  readonly #run: Pick<RowHeaders, 'exportId' | 'chunk' | 'attempt'>;
  readonly #constant: Buffer;
  readonly #digits = new ByteWriter();

  constructor(run: Pick<RowHeaders, 'exportId' | 'chunk' | 'attempt'>) {
    const { exportId, chunk, attempt } = run;
    this.#run = { exportId, chunk, attempt };
    const out = new ByteWriter();
    writeString(out, ROW_HEADERS.export);
    writeString(out, exportId);
    writeString(out, ROW_HEADERS.chunk);
    writeString(out, String(chunk));
    writeString(out, ROW_HEADERS.attempt);
    writeString(out, String(attempt));
    writeString(out, ROW_HEADERS.seq);
    this.#constant = out.toBuffer();
  }

  /** The same, for kafkajs to encode. */
  toHeaders(): IHeaders {
    const { seq, account, isLast } = this;
    return toKafkaHeaders({ ...this.#run, seq, account, isLast });
  }

  write(out: ByteWriter): void {
    writeInteger(out, this.isLast ? HEADER_COUNT + 1 : HEADER_COUNT);
    out.reserve(this.#constant.length);
    out.length += this.#constant.copy(out.bytes, out.length);
    this.#digits.reset();
    writeJsonInteger(this.#digits, this.seq);
    writeInteger(out, this.#digits.length);
    out.reserve(this.#digits.length);
    for (let index = 0; index < this.#digits.length; index += 1) {
      out.bytes[out.length + index] = this.#digits.bytes[index] as number;
    }
    out.length += this.#digits.length;
    writeString(out, ROW_HEADERS.account);
    writeString(out, this.account);
    if (!this.isLast) return;
    writeString(out, ROW_HEADERS.last);
    writeString(out, '1');
  }
}
