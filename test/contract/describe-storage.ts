import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Storage, StorageNotFoundError, type StoredFile } from '../../shared/storage/storage.ts';

/** What a storage under test is made from, and how it is cleaned up. */
export interface StorageUnderTest {
  readonly storage: Storage;
  close(): Promise<void>;
}

/** The contract of `Storage`. Each implementation runs it against its real thing. */
export function describeStorage(name: string, open: () => Promise<StorageUnderTest>): void {
  describe(name, () => {
    let opened: StorageUnderTest;
    let storage: Storage;

    beforeEach(async () => {
      opened = await open();
      storage = opened.storage;
    });
    afterEach(() => opened.close());

    const put = async (path: string, content: string) => {
      const writer = await storage.openWriter(path);
      await writer.append(content);
      await writer.commit();
    };
    const get = async (path: string, range?: { start: number; end?: number }) =>
      text(await storage.openRead(path, range));
    const list = async (folder: string): Promise<StoredFile[]> => {
      const files: StoredFile[] = [];
      for await (const file of storage.list(folder)) files.push(file);
      return files;
    };

    test('a file is read back as it was written, in pieces of text and bytes', async () => {
      const writer = await storage.openWriter('a/b/file.jsonl');
      await writer.append('ü1\n');
      await writer.append(Buffer.from('2\n'));
      expect(writer.bytes).toBe(6);
      await writer.commit();
      expect(await get('a/b/file.jsonl')).toBe('ü1\n2\n');
      expect(await storage.stat('a/b/file.jsonl')).toEqual({ path: 'a/b/file.jsonl', bytes: 6 });
    });

    test('an empty file is a file', async () => {
      await (await storage.openWriter('empty')).commit();
      expect(await storage.stat('empty')).toEqual({ path: 'empty', bytes: 0 });
      expect(await get('empty')).toBe('');
    });

    test('nothing is seen before the commit', async () => {
      const writer = await storage.openWriter('a/file');
      await writer.append('half');
      expect(await storage.stat('a/file')).toBeUndefined();
      expect(await list('a')).toEqual([]);
      expect(await storage.listNames('a')).toEqual([]);
      await writer.abort();
    });

    test('an aborted file never appears, and aborting again is harmless', async () => {
      const writer = await storage.openWriter('a/file');
      await writer.append('half');
      await writer.abort();
      await writer.abort();
      expect(await storage.stat('a/file')).toBeUndefined();
    });

    test('aborting after the commit leaves the file alone', async () => {
      const writer = await storage.openWriter('file');
      await writer.commit();
      await writer.abort();
      expect(await storage.stat('file')).toBeDefined();
    });

    test('a second commit of a path replaces the first', async () => {
      const first = await storage.openWriter('file');
      const second = await storage.openWriter('file');
      await second.append('second');
      await first.append('first');
      await second.commit();
      await first.commit();
      expect(await get('file')).toBe('first');
    });

    test('a range has both of its ends in it', async () => {
      await put('file', '0123456789');
      expect(await get('file', { start: 2, end: 4 })).toBe('234');
      expect(await get('file', { start: 7 })).toBe('789');
      expect(await get('file', { start: 0, end: 0 })).toBe('0');
    });

    test('a file that is not there is told by its class', async () => {
      await expect(storage.openRead('a/none')).rejects.toThrow(StorageNotFoundError);
      expect(await storage.stat('a/none')).toBeUndefined();
      await put('file', 'x');
      await expect(storage.openRead('file/none')).rejects.toThrow(StorageNotFoundError);
    });

    test('deleting twice is harmless', async () => {
      await put('file', 'x');
      await storage.delete('file');
      await storage.delete('file');
      expect(await storage.stat('file')).toBeUndefined();
    });

    test('deleting a file does not break a reader that has begun', async () => {
      const content = 'x'.repeat(1_000_000);
      await put('file', content);
      const reader = await storage.openRead('file');
      await storage.delete('file');
      expect((await text(reader)).length).toBe(content.length);
    });

    test('deleting a folder takes what is in it and below, and nothing beside it', async () => {
      await put('a/b/1', 'x');
      await put('a/b/c/2', 'x');
      await put('a/bb/3', 'x');
      await storage.deleteFolder('a/b');
      await storage.deleteFolder('a/b');
      expect((await list('a')).map(({ path }) => path)).toEqual(['a/bb/3']);
    });

    test('a writer whose folder was deleted leaves nothing behind when it gives up', async () => {
      const writer = await storage.openWriter('a/b/file');
      await writer.append('half');
      await storage.deleteFolder('a');
      await writer.abort();
      expect(await storage.listNames('a')).toEqual([]);
    });

    test('a list is in order of path, with sizes', async () => {
      await put('a/2', 'xx');
      await put('a/10', 'x');
      await put('a/b/c', '');
      expect(await list('a')).toEqual([
        { path: 'a/10', bytes: 1 },
        { path: 'a/2', bytes: 2 },
        { path: 'a/b/c', bytes: 0 },
      ]);
      expect(await storage.listNames('a')).toEqual(['10', '2', 'b']);
      expect(await storage.listNames('none')).toEqual([]);
    });

    test.each([
      '',
      '/a',
      'a/',
      'a//b',
      '../a',
      'a/../b',
      './a',
      '.hidden',
      'a\\b',
      'a b',
      'a\0',
      'a'.repeat(2_000),
    ])('the path %j is refused', async (path) => {
      await expect(async () => storage.openWriter(path)).rejects.toThrow(RangeError);
      await expect(async () => storage.openRead(path)).rejects.toThrow(RangeError);
      await expect(async () => storage.stat(path)).rejects.toThrow(RangeError);
      await expect(async () => storage.delete(path)).rejects.toThrow(RangeError);
      await expect(async () => storage.deleteFolder(path)).rejects.toThrow(RangeError);
    });
  });
}
