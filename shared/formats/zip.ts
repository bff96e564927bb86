import { Readable } from 'node:stream';
import ZipStream from 'zip-stream';
import type { Bytes } from './format.ts';

/** One file in an archive. */
export interface ZipMember {
  readonly name: string;
  readonly bytes: Bytes;
  /** Put in as it is, because it is compressed already. */
  readonly isStored: boolean;
}

/** The earliest time that the format can say: the archive's bytes then depend on what is in it alone. */
const MEMBER_TIME = new Date(Date.UTC(1980, 0, 1));
const MEMBER_MODE = 0o644;

/**
 * A zip archive as it is made, in the 64-bit form where it gets too large for the other. A member is asked for once the
 * one before is in, so a later one may depend on what the earlier ones turned out to be.
 *
 * @throws what a member's bytes or the list of members throw
 */
export async function* zip(members: AsyncIterable<ZipMember>): AsyncGenerator<Buffer> {
  const archive = new ZipStream({ zlib: { level: 6 } });
  const { promise: closed, reject: close } = Promise.withResolvers<never>();
  closed.catch(() => undefined);
  // When the reader gives up, the member that is being put in never ends.
  archive.once('close', () => close(new Error('the archive was given up')));
  let open: Readable | undefined;
  async function fill(): Promise<void> {
    for await (const { name, bytes, isStored } of members) {
      const source = Readable.from(bytes);
      open = source;
      const options = { name, store: isStored, date: MEMBER_TIME, mode: MEMBER_MODE };
      const isIn = new Promise<void>((resolve, reject) => {
        archive.entry(source, options, (error) => (error ? reject(error) : resolve()));
      });
      await Promise.race([isIn, closed]);
    }
    archive.finish();
  }
  const filling = fill().catch((error: Error) => {
    archive.destroy(error);
    throw error;
  });
  // Its failure reaches the reader through the archive; it is awaited below only to know that nothing goes on.
  filling.catch(() => undefined);
  try {
    for await (const piece of archive) yield piece as Buffer;
  } finally {
    archive.destroy();
    open?.destroy();
    await filling.catch(() => undefined);
  }
}
