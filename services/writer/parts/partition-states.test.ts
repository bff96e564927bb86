import fc from 'fast-check';
import { expect, test } from 'vitest';
import { classifyRow, type OpenChunk, PartitionChunks } from './partition-states.ts';

function openChunk(chunk: number, attempt: number, firstOffset: bigint, nextSeq = 0): OpenChunk<null> {
  const chunkAttempt = { exportId: 'exp_1', resource: 'invoices', chunk, attempt };
  return { chunkAttempt, firstOffset, openedAtMs: 0, rowsPlanned: 100, part: null, nextSeq, isWhole: false };
}

const open = openChunk(0, 5, 0n, 3);

test('the next row is appended', () => {
  expect(classifyRow(open, { attempt: 5, seq: 3 })).toBe('append');
});

test('a row that was had before is dropped', () => {
  expect(classifyRow(open, { attempt: 5, seq: 2 })).toBe('drop');
});

test('a row of an earlier try is dropped, whatever its place', () => {
  expect(classifyRow(open, { attempt: 4, seq: 3 })).toBe('drop');
  expect(classifyRow(open, { attempt: 4, seq: 9 })).toBe('drop');
});

test('a row of a later try, or of an unknown chunk, is asked about', () => {
  expect(classifyRow(open, { attempt: 6, seq: 0 })).toBe('ask');
  expect(classifyRow(undefined, { attempt: 1, seq: 0 })).toBe('ask');
});

test('a row that comes after a missing one is a hole', () => {
  expect(classifyRow(open, { attempt: 5, seq: 4 })).toBe('hole');
});

test('without open chunks the floor is the position', () => {
  const chunks = new PartitionChunks<null>();
  chunks.advanceTo(7n);
  expect(chunks.floor()).toBe(7n);
});

test('the floor never passes the first row of an open chunk', () => {
  const chunks = new PartitionChunks<null>();
  const first = openChunk(0, 1, 10n);
  const second = openChunk(1, 1, 20n);
  chunks.add(first);
  chunks.add(second);
  chunks.advanceTo(30n);
  expect(chunks.floor()).toBe(10n);
  chunks.remove(first);
  expect(chunks.floor()).toBe(20n);
  chunks.remove(second);
  expect(chunks.floor()).toBe(30n);
});

test('a chunk is found by its export and number, also after others were', () => {
  const chunks = new PartitionChunks<null>();
  const [first, second] = [openChunk(0, 1, 1n), openChunk(1, 1, 2n)];
  chunks.add(first);
  chunks.add(second);
  expect(chunks.find('exp_1', 0)).toBe(first);
  expect(chunks.find('exp_1', 1)).toBe(second);
  expect(chunks.find('exp_2', 1)).toBeUndefined();
  chunks.remove(second);
  expect(chunks.find('exp_1', 1)).toBeUndefined();
  expect(chunks.has(second)).toBe(false);
  expect(chunks.has(first)).toBe(true);
});

test('however tries are mixed and repeated, every chunk ends as the rows of its latest try, each once', () => {
  // A log of one partition: each chunk's tries in order of attempt, earlier ones cut off anywhere, mixed with the
  // rows of other chunks; and a reader that is thrown back to its floor at any time.
  const attempts = fc.array(fc.record({ chunk: fc.nat(2), cut: fc.nat(4) }), { maxLength: 6 });
  fc.assert(
    fc.property(
      attempts,
      fc.infiniteStream(fc.nat()),
      fc.array(fc.nat(60), { maxLength: 4 }),
      (cuts, picks, throws) => {
        const rowCount = 4;
        const attempts = [
          ...cuts.map(({ chunk, cut }) => ({ chunk, length: cut })),
          ...[0, 1, 2].map((chunk) => ({ chunk, length: rowCount })),
        ];
        const current = new Map(attempts.map(({ chunk }, attempt) => [chunk, attempt]));
        const queues = attempts.map(({ chunk, length }, attempt) =>
          Array.from({ length }, (_, seq) => ({ chunk, attempt, seq })),
        );
        const log: { chunk: number; attempt: number; seq: number }[] = [];
        for (let left = queues.filter((queue) => queue.length > 0); left.length > 0; ) {
          const queue = left[picks.next().value % left.length];
          const row = queue?.shift();
          if (row !== undefined) log.push(row);
          left = queues.filter((each) => each.length > 0);
        }

        const written = new Map<number, number[]>();
        let chunks = new PartitionChunks<number[]>();
        let offset = 0;
        let committed = 0n;
        const jumps = [...throws];
        while (offset < log.length) {
          if (jumps[0] === offset) {
            jumps.shift();
            chunks = new PartitionChunks<number[]>();
            offset = Number(committed);
            continue;
          }
          const row = log[offset];
          if (row === undefined) break;
          let mine = chunks.find('e', row.chunk);
          if (
            classifyRow(mine, row) === 'ask' &&
            row.attempt === current.get(row.chunk) &&
            !written.has(row.chunk)
          ) {
            if (mine !== undefined) chunks.remove(mine);
            mine = {
              chunkAttempt: { exportId: 'e', resource: 'r', chunk: row.chunk, attempt: row.attempt },
              firstOffset: BigInt(offset),
              openedAtMs: 0,
              rowsPlanned: rowCount,
              part: [],
              nextSeq: 0,
              isWhole: false,
            };
            chunks.add(mine);
          }
          const rowClass = classifyRow(mine, row);
          expect(rowClass).not.toBe('hole');
          if (mine !== undefined && rowClass === 'append') {
            mine.part.push(row.seq);
            mine.nextSeq += 1;
            if (mine.nextSeq === rowCount) {
              written.set(row.chunk, mine.part);
              chunks.remove(mine);
            }
          }
          offset += 1;
          chunks.advanceTo(BigInt(offset));
          committed = chunks.floor();
        }
        expect([...written.values()]).toEqual([0, 1, 2].map(() => [0, 1, 2, 3]));
      },
    ),
  );
});
