import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import type { ChunkPart } from '../../../shared/control/exports/assembly.ts';
import type { MergedRecord } from '../../../shared/control/exports/chunk-merge.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import type { Staging } from '../../../shared/formats/format.ts';
import { createFileStorage } from '../../../shared/storage/file-storage.ts';
import { inBlocks, mergeLines } from './merge-lines.ts';

const ROW_TYPE: RowType = {
  resource: 'notes',
  columns: [
    { name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true },
    { name: 'title', type: { kind: 'string', pgName: 'text' }, isKey: false },
    { name: 'body', type: { kind: 'json', pgName: 'jsonb' }, isKey: false },
  ],
};

async function merge(
  contents: readonly (string | null)[],
  records: readonly MergedRecord[],
  { staging = 'json' as Staging, lineType = ROW_TYPE } = {},
): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tandem-merge-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const storage = createFileStorage(root);
  const parts: ChunkPart[] = [];
  for (const [chunk, content] of contents.entries()) {
    const path = content === null ? null : `parts/exp_1/notes/${chunk}.jsonl`;
    if (path !== null) {
      const file = await storage.openWriter(path);
      await file.append(content ?? '');
      await file.commit();
    }
    parts.push({ chunk, path, rows: 0, bytes: 0 });
  }
  const lines = { rowType: ROW_TYPE, lineType, keyColumns: ['id'], staging };
  const signal = new AbortController().signal;
  return text(inBlocks(mergeLines(storage, { parts }, inPages(records), lines, signal)));
}

async function* inPages(records: readonly MergedRecord[]) {
  yield* records;
}

const line = (id: number, title: string, body: string | null = null) =>
  `{"id":${id},"title":${JSON.stringify(title)},"body":${body}}\n`;

const record = (
  chunk: number,
  partRow: number,
  id: number,
  image: MergedRecord['image'],
  isInPart = true,
): MergedRecord => ({ chunk, partRow, isInPart, recordKey: `["${id}"]`, image });

test('changed records stand in the place of what was read, new ones between, deleted ones nowhere', async () => {
  const parts = [line(1, 'a') + line(3, 'c') + line(5, 'e'), null, line(9, 'i')];
  const merged = await merge(parts, [
    record(0, 0, 0, ['0', 'new', '1.10'], false),
    record(0, 1, 2, ['2', 'new “b”\n', null], false),
    record(0, 1, 3, ['3', 'changed', '{"n": 1.0}']),
    record(0, 2, 5, null),
    record(0, 3, 6, ['6', 'behind', null], false),
    record(1, 0, 7, ['7', 'in an empty part', null], false),
    record(2, 0, 9, ['9', 'i2', null]),
  ]);
  expect(merged).toBe(
    [
      line(0, 'new', '1.10'),
      line(1, 'a'),
      line(2, 'new “b”\n'),
      line(3, 'changed', '{"n": 1.0}'),
      line(6, 'behind'),
      line(7, 'in an empty part'),
      line(9, 'i2'),
    ].join(''),
  );
});

test('a value that no event has is the one that was read', async () => {
  const body = '{"long": [1.50, "\\u2028"]}';
  expect(await merge([line(1, 'a', body)], [record(0, 0, 1, ['1', 'b', false])])).toBe(line(1, 'b', body));
  const texts = `${JSON.stringify(['1', 'a', body])}\n`;
  expect(await merge([texts], [record(0, 0, 1, ['1', 'b', false])], { staging: 'texts' })).toBe(
    `${JSON.stringify(['1', 'b', body])}\n`,
  );
  await expect(merge([null], [record(0, 0, 1, ['1', 'b', false], false)])).rejects.toThrow('is unknown');
});

test('lines have the columns that were asked for, from parts and from events', async () => {
  const lineType = { ...ROW_TYPE, columns: ROW_TYPE.columns.filter(({ name }) => name !== 'title') };
  const merged = await merge(
    ['{"id":1,"body":2}\n{"id":2,"body":null}\n'],
    [record(0, 0, 1, ['1', false, false]), record(0, 1, 2, ['2', 'x', '"y"'])],
    { lineType },
  );
  expect(merged).toBe('{"id":1,"body":2}\n{"id":2,"body":"y"}\n');
});

test('a record that does not fit the part ends the file', async () => {
  const part = line(1, 'a') + line(2, 'b');
  await expect(merge([part], [record(0, 1, 1, null)])).rejects.toThrow('not where it was read: ["1"]');
  await expect(merge([part], [record(0, 2, 3, null)])).rejects.toThrow('less than it should');
  await expect(merge([part], [record(1, 0, 3, ['3', 'x', null], false)])).rejects.toThrow('has no part');
  await expect(merge([part], [record(0, 0, 1, ['1', 'x'])])).rejects.toThrow('other columns');
});

test('lines are told apart however the part is cut into pieces', async () => {
  const count = 30_000;
  const long = 'ü'.repeat(40);
  const part = Array.from({ length: count }, (_, id) => line(id, long)).join('');
  const every = 997;
  const records = Array.from({ length: Math.floor(count / every) }, (_, index) =>
    record(0, index * every, index * every, index % 2 === 0 ? null : [String(index * every), 'x', null]),
  );
  const wanted = Array.from({ length: count }, (_, id) => {
    const index = id / every;
    if (!Number.isInteger(index) || index >= records.length) return line(id, long);
    return index % 2 === 0 ? '' : line(id, 'x');
  }).join('');
  expect((await merge([part], records)) === wanted).toBe(true);
});
