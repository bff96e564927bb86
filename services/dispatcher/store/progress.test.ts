import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPosition, type Position, parsePosition } from '../../../shared/domain/position.ts';
import { createProgress, type Pending, type Progress } from './progress.ts';

const at = (n: number): Position => ({ commitLsn: BigInt(n), index: 0 });
const numberOf = (text: string): number => Number(parsePosition(text)?.commitLsn);
const view = (progress: Progress) => {
  const { cursor, done } = progress.state();
  return { cursor: Number(cursor.commitLsn), done: done.map(numberOf) };
};

test('the mark waits for the first unfinished event, and what is finished behind it is listed', () => {
  const progress = createProgress(at(0), []);
  const [one, two, three] = [1, 2, 3].map((n) => progress.admit(at(n)));
  if (one === undefined || two === undefined || three === undefined) throw new Error('three were admitted');
  progress.finish(three);
  progress.finish(two);
  expect(view(progress)).toEqual({ cursor: 0, done: [2, 3] });
  progress.finish(one);
  expect(view(progress)).toEqual({ cursor: 3, done: [] });
});

test('events that are not wanted are passed without being listed', () => {
  const progress = createProgress(at(0), []);
  progress.passOver(at(5));
  expect(view(progress)).toEqual({ cursor: 5, done: [] });
  const six = progress.admit(at(6));
  progress.passOver(at(9));
  expect(view(progress)).toEqual({ cursor: 5, done: [] });
  progress.finish(six);
  expect(view(progress)).toEqual({ cursor: 9, done: [] });
});

test('finishing twice counts once', () => {
  const progress = createProgress(at(0), []);
  const one = progress.admit(at(1));
  progress.admit(at(2));
  progress.finish(one);
  progress.finish(one);
  expect(progress.aheadCount).toBe(1);
  expect(view(progress)).toEqual({ cursor: 1, done: [] });
});

test('an event is never taken up twice', () => {
  const progress = createProgress(at(3), []);
  expect(() => progress.admit(at(3))).toThrow(RangeError);
});

test('after any crash, exactly the unfinished events are read again', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('read' as const), isWanted: fc.boolean() }),
    fc.record({ kind: fc.constant('finish' as const), pick: fc.nat() }),
    fc.record({ kind: fc.constant('crash' as const) }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { maxLength: 40 }),
      fc.array(step, { maxLength: 120 }),
      (wanted, steps) => {
        const finished = new Set<number>();
        let progress = createProgress(at(0), []);
        let pending = new Map<number, Pending>();
        let next = 1;
        for (const { kind, ...rest } of steps) {
          if (kind === 'read' && next <= wanted.length) {
            const isWanted = wanted[next - 1] === true;
            if (isWanted && !progress.isDone(at(next))) {
              expect(finished.has(next)).toBe(false);
              pending.set(next, progress.admit(at(next)));
            } else {
              if (isWanted) expect(finished.has(next)).toBe(true);
              progress.passOver(at(next));
            }
            next += 1;
          } else if (kind === 'finish' && pending.size > 0) {
            const keys = [...pending.keys()];
            const key = keys[('pick' in rest ? rest.pick : 0) % keys.length] ?? 0;
            const entry = pending.get(key);
            if (entry !== undefined) progress.finish(entry);
            pending.delete(key);
            finished.add(key);
          } else if (kind === 'crash') {
            const saved = progress.state();
            progress = createProgress(saved.cursor, saved.done);
            pending = new Map();
            next = Number(saved.cursor.commitLsn) + 1;
          }
          const { cursor, done } = progress.state();
          // Everything at or before the mark is finished or unwanted, and the list holds finished events only.
          for (let n = 1; n <= Number(cursor.commitLsn); n++) {
            expect(wanted[n - 1] === false || finished.has(n)).toBe(true);
          }
          expect(done.map(numberOf)).toEqual(
            [...finished].filter((n) => at(n).commitLsn > cursor.commitLsn).sort((a, b) => a - b),
          );
          expect(done).toEqual([...done].sort());
          expect(done.includes(formatPosition(cursor))).toBe(false);
        }
      },
    ),
  );
});
