const LINE_FEED = 0x0a;

/**
 * The lines of JSON Lines bytes, without their line feeds. Only a line feed ends a line: Node's `readline` splits at U+2028 and
 * U+2029 too, which JSON allows inside strings. A last line without a line feed is a line.
 */
export async function* readJsonLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  for await (const piece of bytes) {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    let from = 0;
    for (let at = buffer.indexOf(LINE_FEED); at !== -1; at = buffer.indexOf(LINE_FEED, from)) {
      const rest = buffer.subarray(from, at);
      const line = begun.length === 0 ? rest : Buffer.concat([...begun, rest]);
      begun = [];
      from = at + 1;
      yield line.toString();
    }
    if (from < buffer.length) begun.push(buffer.subarray(from));
  }
  if (begun.length > 0) yield Buffer.concat(begun).toString();
}
