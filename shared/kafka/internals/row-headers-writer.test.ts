import { expect, test } from 'vitest';
import { type RowHeaders, toKafkaHeaders } from '../../protocol/headers.ts';
import { writeInteger, writeString } from '../../values/avro-writer.ts';
import { ByteWriter } from '../../values/byte-writer.ts';
import { RowHeadersWriter } from './row-headers-writer.ts';

const CHUNK = { exportId: 'exp_1', chunk: 70_000, attempt: 3 };

function plain(row: RowHeaders): Buffer {
  const out = new ByteWriter();
  const entries = Object.entries(toKafkaHeaders(row));
  writeInteger(out, entries.length);
  for (const text of entries.flat()) writeString(out, String(text));
  return out.toBuffer();
}

test('headers are the same bytes as those of a message object', () => {
  const writer = new RowHeadersWriter(CHUNK);
  for (const seq of [0, 9, 10, 12_345, 4_294_967_296]) {
    for (const isLast of [false, true]) {
      for (const account of ['acc_001', '', 'Ö', 'a'.repeat(300)]) {
        Object.assign(writer, { seq, account, isLast });
        const out = new ByteWriter();
        writer.write(out);
        expect(out.toBuffer()).toEqual(plain({ ...CHUNK, seq, account, isLast }));
      }
    }
  }
});
