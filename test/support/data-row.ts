/** The body of PostgreSQL's DataRow message with these texts, a count and then each behind its length. */
export function dataRow(texts: readonly (string | null | Buffer)[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(texts.length);
  const values = texts.flatMap((text) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(text === null ? -1 : Buffer.byteLength(text));
    return text === null ? [length] : [length, Buffer.from(text as string)];
  });
  return Buffer.concat([count, ...values]);
}
