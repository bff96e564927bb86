import type { Bytes } from '../../../shared/formats/format.ts';
import type { Storage } from '../../../shared/storage/storage.ts';

/**
 * Puts bytes into storage as they come. The file is durable and in its place when this returns, and not there when it
 * throws.
 *
 * @throws what the bytes throw; StorageFullError; StorageRefusedError
 */
export async function storeFile(storage: Storage, path: string, bytes: Bytes): Promise<{ bytes: number }> {
  const file = await storage.openWriter(path);
  try {
    for await (const piece of bytes) {
      await file.append(piece);
    }
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
  return { bytes: file.bytes };
}

/** A small file of text. */
export async function storeText(storage: Storage, path: string, text: string): Promise<void> {
  await storeFile(storage, path, single(text));
}

async function* single(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
