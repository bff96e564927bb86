import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import {
  type ChunkAttempt,
  chunkAttemptKey,
  type WrittenPart,
} from '../../../shared/control/chunks/chunk-attempts.ts';
import type { WriterFailure } from '../../../shared/control/exports/end-export.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import { type RowHeaders, toKafkaHeaders } from '../../../shared/protocol/headers.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createFileStorage } from '../../../shared/storage/file-storage.ts';
import { type Storage, StorageFullError } from '../../../shared/storage/storage.ts';
import { createRowCodec } from '../../../shared/values/row-codec.ts';
import { BatchWriter, type RowMessage } from './batch-writer.ts';
import { PartStore } from './part.ts';
import { createPartitionState } from './partition-states.ts';
import { createRowCodecs } from './row-codecs.ts';

const ROW_TYPE: RowType = {
  resource: 'invoices',
  columns: [{ name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true }],
};
const SCHEMA_ID = 7;
const CODEC = createRowCodec(ROW_TYPE, { namespace: 'tandem.test', record: 'Row' });

function row(headers: Partial<RowHeaders>): Omit<RowMessage, 'offset'> {
  const seq = headers.seq ?? 0;
  return {
    value: CODEC.encode([String(seq)], SCHEMA_ID),
    headers: toKafkaHeaders({
      exportId: 'exp_1',
      chunk: 0,
      attempt: 1,
      seq,
      account: 'a',
      isLast: false,
      ...headers,
    }),
  };
}

/** Three rows, the last one marked. */
const chunkRows = (headers: Partial<RowHeaders> = {}) =>
  [0, 1, 2].map((seq) => row({ ...headers, seq, isLast: seq === 2 }));

interface SetUpOptions {
  /** Attempts that count, by chunk; 1 for every chunk unless given. */
  current?: Record<number, number>;
  storage?: (real: Storage) => Storage;
  isRunning?: () => boolean;
  maxOpenChunks?: number;
}

async function setUp({
  current = {},
  storage: wrap,
  isRunning = () => true,
  maxOpenChunks = 10,
}: SetUpOptions = {}) {
  const root = await mkdtemp(join(tmpdir(), 'tandem-writer-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const real = createFileStorage(root);
  const parts = new PartStore(wrap === undefined ? real : wrap(real));
  const written = new Map<string, WrittenPart>();
  const failures: WriterFailure[] = [];
  const answers = { lost: false };
  let askedCount = 0;
  let offset = 0;
  const partitionState = createPartitionState('t.rows.invoices', 0, 'invoices');
  const isCurrent = (chunkAttempt: ChunkAttempt) =>
    (current[chunkAttempt.chunk] ?? 1) === chunkAttempt.attempt &&
    !written.has(chunkAttemptKey(chunkAttempt)) &&
    failures.length === 0;
  const writer = new BatchWriter({
    control: {
      async find(chunkAttempt) {
        askedCount += 1;
        return isCurrent(chunkAttempt) ? { rowsPlanned: 3, format: 'jsonl', fields: null } : undefined;
      },
      async recordWritten(chunkAttempt, part) {
        if (!isCurrent(chunkAttempt)) return false;
        written.set(chunkAttemptKey(chunkAttempt), part);
        if (answers.lost) throw new Error('the connection broke');
        return true;
      },
      async fail(chunkAttempt, failure) {
        if (!isCurrent(chunkAttempt)) return false;
        failures.push(failure);
        return true;
      },
    },
    codecs: createRowCodecs({ fetch: async () => CODEC.schema, forget: () => undefined }, silentLog),
    createPart: (chunkAttempt) => parts.create(chunkAttempt, 'json'),
    maxOpenChunks,
    openChunkCount: () => partitionState.chunks.waitingCount,
    onWritten: async () => undefined,
    onFailed: () => undefined,
    log: silentLog,
  });
  return {
    partitionState,
    written,
    failures,
    current,
    answers,
    askedCount: () => askedCount,
    async write(messages: readonly Omit<RowMessage, 'offset'>[], at = offset) {
      const batch = messages.map((message, index) => ({ ...message, offset: String(at + index) }));
      offset = at + batch.length;
      const isWhole = await writer.write(partitionState, batch, {
        heartbeat: async () => undefined,
        isRunning,
      });
      if (isWhole) partitionState.chunks.advanceTo(BigInt(offset));
      return isWhole;
    },
    async contentOf(key: string) {
      const part = written.get(key);
      return part === undefined ? undefined : text(await real.openRead(part.path));
    },
    async partCount() {
      let count = 0;
      for await (const _ of real.list('parts')) count += 1;
      return count;
    },
  };
}

const CONTENT = '{"id":0}\n{"id":1}\n{"id":2}\n';

test('a whole chunk becomes a part, noted with its rows, bytes and schema', async () => {
  const { write, written, contentOf, partitionState } = await setUp();
  await write(chunkRows());
  expect(written.get('exp_1/invoices/0/1')).toMatchObject({ rows: 3, bytes: 27, schemaId: SCHEMA_ID });
  expect(await contentOf('exp_1/invoices/0/1')).toBe(CONTENT);
  expect(partitionState.chunks.floor()).toBe(3n);
});

test('the offset waits at the first row of a chunk that is not finished', async () => {
  const { write, partitionState } = await setUp();
  await write([...chunkRows(), ...chunkRows({ chunk: 1 }).slice(0, 2)]);
  expect(partitionState.chunks.floor()).toBe(3n);
  await write(chunkRows({ chunk: 1 }).slice(2));
  expect(partitionState.chunks.floor()).toBe(6n);
});

test('rows that come again are dropped', async () => {
  const { write, contentOf } = await setUp();
  const [first, second, last] = chunkRows() as [RowMessage, RowMessage, RowMessage];
  await write([first, first, second, first, second]);
  await write([second, last]);
  await write([first, second, last]);
  expect(await contentOf('exp_1/invoices/0/1')).toBe(CONTENT);
});

test('a batch that is given a second time changes nothing', async () => {
  const { write, contentOf, partCount, askedCount } = await setUp();
  const rows = [...chunkRows(), ...chunkRows({ chunk: 1 }).slice(0, 2)];
  await write(rows, 0);
  await write(rows, 0);
  await write(chunkRows({ chunk: 1 }).slice(2));
  expect(await contentOf('exp_1/invoices/0/1')).toBe(CONTENT);
  expect(await contentOf('exp_1/invoices/1/1')).toBe(CONTENT);
  expect(await partCount()).toBe(2);
  expect(askedCount()).toBe(2);
});

test('of two tries mixed with each other only the one that counts is written', async () => {
  const { write, written, contentOf, partCount } = await setUp({ current: { 0: 2 } });
  const older = chunkRows({ attempt: 1 });
  const newer = chunkRows({ attempt: 2 });
  await write(older.flatMap((each, index) => [each, newer[index] as RowMessage]));
  expect([...written.keys()]).toEqual(['exp_1/invoices/0/2']);
  expect(await contentOf('exp_1/invoices/0/2')).toBe(CONTENT);
  expect(await partCount()).toBe(1);
});

test('a later try replaces the open part of an earlier one', async () => {
  const { write, written, current, partCount, partitionState } = await setUp();
  await write(chunkRows({ attempt: 1 }).slice(0, 2));
  current[0] = 2;
  await write([...chunkRows({ attempt: 2 }).slice(0, 2), ...chunkRows({ attempt: 1 }).slice(2)]);
  expect(partitionState.chunks.floor()).toBe(2n);
  await write(chunkRows({ attempt: 2 }).slice(2));
  expect([...written.keys()]).toEqual(['exp_1/invoices/0/2']);
  expect(await partCount()).toBe(1);
});

test('a missing row fails the export and leaves no part', async () => {
  const { write, failures, partCount, partitionState } = await setUp();
  const [first, , last] = chunkRows() as [RowMessage, RowMessage, RowMessage];
  await write([first]);
  await write([last]);
  expect(failures).toMatchObject([{ code: 'row_count_mismatch' }]);
  expect(await partCount()).toBe(0);
  expect(partitionState.chunks.floor()).toBe(2n);
});

test('a missing row of a try that no longer counts fails nothing', async () => {
  const { write, failures, current } = await setUp();
  const [first, , last] = chunkRows() as [RowMessage, RowMessage, RowMessage];
  await write([first]);
  current[0] = 2;
  await write([last]);
  expect(failures).toEqual([]);
});

test('fewer rows than the snapshot has fail the export', async () => {
  const { write, failures } = await setUp();
  await write([row({ seq: 0 }), row({ seq: 1, isLast: true })]);
  expect(failures).toMatchObject([{ code: 'row_count_mismatch' }]);
});

test('a row that is damaged fails the export', async () => {
  const { write, failures, partCount } = await setUp();
  const [first, second] = chunkRows() as [RowMessage, RowMessage, RowMessage];
  await write([first, { ...second, value: Buffer.from([0, 0, 0, 0, SCHEMA_ID]) }]);
  expect(failures).toMatchObject([{ code: 'row_unreadable' }]);
  expect(await partCount()).toBe(0);
});

test('a record without row headers is passed over', async () => {
  const { write, contentOf } = await setUp();
  await write([{ value: Buffer.from('x') }, ...chunkRows()]);
  expect(await contentOf('exp_1/invoices/0/1')).toBe(CONTENT);
});

test.each(['append', 'commit'] as const)(
  'storage that is full at %s fails the export and the process goes on',
  async (step) => {
    const { write, failures, partCount, partitionState } = await setUp({
      storage: (real) => ({
        ...real,
        async openWriter(path) {
          const file = await real.openWriter(path);
          return { ...file, [step]: () => Promise.reject(new StorageFullError(path)) };
        },
      }),
    });
    await write(chunkRows());
    expect(failures).toMatchObject([{ code: 'storage_full' }]);
    expect(await partCount()).toBe(0);
    expect(partitionState.chunks.floor()).toBe(3n);
  },
);

test('storage that fails otherwise ends the batch, and the offset stays', async () => {
  const { write, partitionState } = await setUp({
    storage: (real) => ({ ...real, openWriter: () => Promise.reject(new Error('input/output error')) }),
  });
  await expect(write(chunkRows())).rejects.toThrow('input/output error');
  expect(partitionState.chunks.floor()).toBe(0n);
});

test('chunks that end in one batch are synced beside each other', async () => {
  const both = Promise.withResolvers<void>();
  let committing = 0;
  const { write, written, partitionState } = await setUp({
    storage: (real) => ({
      ...real,
      async openWriter(path) {
        const file = await real.openWriter(path);
        const commit = async () => {
          committing += 1;
          if (committing === 2) both.resolve();
          // One after the other, the first would wait for ever.
          await both.promise;
          await file.commit();
        };
        return { ...file, commit };
      },
    }),
  });
  await write([...chunkRows(), ...chunkRows({ chunk: 1 })]);
  expect([...written.keys()].sort()).toEqual(['exp_1/invoices/0/1', 'exp_1/invoices/1/1']);
  expect(partitionState.chunks.floor()).toBe(6n);
});

test('a chunk whose part can not be synced fails the batch, once the others are recorded', async () => {
  const { write, written, partitionState } = await setUp({
    storage: (real) => ({
      ...real,
      async openWriter(path) {
        const file = await real.openWriter(path);
        const fail = () => Promise.reject(new Error('input/output error'));
        return path.includes('/0-1-') ? { ...file, commit: fail } : file;
      },
    }),
  });
  await expect(write([...chunkRows(), ...chunkRows({ chunk: 1 })])).rejects.toThrow('input/output error');
  expect([...written.keys()]).toEqual(['exp_1/invoices/1/1']);
  const [left, ...others] = partitionState.chunks.all();
  expect(left?.chunkAttempt.chunk).toBe(0);
  expect(others).toEqual([]);
  await left?.part.discard();
});

test('rows that come again while their part is being synced are dropped', async () => {
  const { write, contentOf, partCount } = await setUp();
  await write([...chunkRows(), ...chunkRows(), ...chunkRows({ attempt: 2 }).slice(0, 1)]);
  expect(await contentOf('exp_1/invoices/0/1')).toBe(CONTENT);
  expect(await partCount()).toBe(1);
});

test('a part that another writer was first with is removed', async () => {
  const { write, written, partCount } = await setUp();
  await write(chunkRows().slice(0, 2));
  written.set('exp_1/invoices/0/1', { path: 'theirs', rows: 3, bytes: 27, schemaId: SCHEMA_ID });
  await write(chunkRows().slice(2));
  expect(written.get('exp_1/invoices/0/1')?.path).toBe('theirs');
  expect(await partCount()).toBe(0);
});

test('a committed part outlives its chunk, because the control store may name it though its answer got lost', async () => {
  const { write, partitionState, answers, partCount } = await setUp();
  await write(chunkRows().slice(0, 2));
  answers.lost = true;
  await expect(write(chunkRows().slice(2))).rejects.toThrow('the connection broke');
  for (const open of partitionState.chunks.all()) await open.part.discard();
  expect(await partCount()).toBe(1);
});

test('one chunk more than may be open fails its export', async () => {
  const { write, failures } = await setUp({ maxOpenChunks: 1 });
  await write([row({ chunk: 0 }), row({ chunk: 1 })]);
  expect(failures).toMatchObject([{ code: 'too_many_open_chunks' }]);
});

test('a service that stops leaves a batch in the middle', async () => {
  const { write, partitionState } = await setUp({ isRunning: () => false });
  expect(await write(chunkRows())).toBe(false);
  expect(partitionState.chunks.floor()).toBe(0n);
});
