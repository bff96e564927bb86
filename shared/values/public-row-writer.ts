import { isPlain, type PublicField } from '../domain/public-field.ts';
import type { Column, RowType, ValueType } from '../domain/row-type.ts';
import type { AvroReader } from './avro-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { jsonString, wireToJson } from './json-text.ts';
import { writeJsonRaw } from './json-writer.ts';
import { fieldReader, type PublicShape } from './public-shape.ts';
import { type RowBody, readText, skipColumn, writeJsonValue, writeTextValue } from './row-body.ts';

/** What a field of a row is written as, from the place of its column's value. */
type WriteField = (reader: AvroReader, out: ByteWriter, start: number) => void;

const NULL_JSON = Buffer.from('null');
const COMMA = 0x2c;
/** Values of a map that are kept as bytes. */
const MAX_PRINTED = 1_000;
/** Where a column is null, or a field has none. */
const NOWHERE = -1;

/**
 * Writes what `PublicShape.apply` makes of a row, from bytes to bytes where a column is published as it is: rows are written by
 * the million. A test compares the two.
 */
export function createPublicRowWriter(
  { columns }: RowType,
  fields: readonly PublicField[],
  shape: PublicShape,
): Pick<RowBody, 'writeJson' | 'writeTexts'> {
  const starts = new Int32Array(columns.length);
  const shown = fields.map((field, index) => {
    const { name, type } = shape.rowType.columns[index] as Column;
    const place = 'column' in field ? columns.findIndex((column) => column.name === field.column) : NOWHERE;
    const kind = columns[place]?.type.kind ?? 'string';
    return {
      name,
      place,
      prefix: Buffer.from(`${jsonString(name)}:`),
      asJson: fieldWriter(field, kind, writeJsonValue, (text) => wireToJson(type.kind, text)),
      asText: fieldWriter(field, kind, writeTextValue, jsonString),
    };
  });

  function findValues(reader: AvroReader): void {
    for (let place = 0; place < columns.length; place += 1) {
      const column = columns[place] as Column;
      const branch = column.isKey ? 0 : 1;
      const at = reader.position;
      skipColumn(reader, column);
      starts[place] = branch === 1 && reader.bytes[at] === 0 ? NOWHERE : at + branch;
    }
  }

  function write(
    reader: AvroReader,
    out: ByteWriter,
    only: ReadonlySet<string> | undefined,
    [open, close]: readonly [open: number, close: number],
    isJson: boolean,
  ): void {
    findValues(reader);
    const end = reader.position;
    out.writeByte(open);
    let isFirst = true;
    for (const { name, place, prefix, asJson, asText } of shown) {
      if (only !== undefined && !only.has(name)) continue;
      if (!isFirst) out.writeByte(COMMA);
      isFirst = false;
      if (isJson) writeJsonRaw(out, prefix, 0, prefix.length);
      const start = place === NOWHERE ? 0 : (starts[place] as number);
      if (start === NOWHERE) writeJsonRaw(out, NULL_JSON, 0, NULL_JSON.length);
      else (isJson ? asJson : asText)(reader, out, start);
    }
    out.writeByte(close);
    reader.position = end;
  }

  return {
    writeJson: (reader, out, only) => write(reader, out, only, [0x7b, 0x7d], true),
    writeTexts: (reader, out, only) => write(reader, out, only, [0x5b, 0x5d], false),
  };
}

function fieldWriter(
  field: PublicField,
  kind: ValueType['kind'],
  copy: (reader: AvroReader, out: ByteWriter, kind: ValueType['kind']) => void,
  print: (text: string) => string,
): WriteField {
  if ('value' in field) {
    const json = Buffer.from(print(String(field.value)));
    return (_, out) => writeJsonRaw(out, json, 0, json.length);
  }
  if (isPlain(field)) {
    return (reader, out, start) => {
      reader.position = start;
      copy(reader, out, kind);
    };
  }
  const read = fieldReader(field);
  if ('map' in field) {
    // A map is for columns of few values; the rest is not kept.
    const printed = new Map<string, Buffer>();
    return (reader, out, start) => {
      reader.position = start;
      const text = readText(reader, kind);
      const known = printed.get(text);
      const json = known ?? Buffer.from(print(String(read(text))));
      if (known === undefined && printed.size < MAX_PRINTED) printed.set(text, json);
      writeJsonRaw(out, json, 0, json.length);
    };
  }
  return (reader, out, start) => {
    reader.position = start;
    const text = read(readText(reader, kind));
    if (text === null) writeJsonRaw(out, NULL_JSON, 0, NULL_JSON.length);
    else out.writeText(print(text));
  };
}
