import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  comeToRest,
  ENDS,
  type Fill,
  IDS,
  type Identity,
  Model,
  type Rule,
} from '../../../test/support/chunked-model.ts';

// The law of chunked exports, on a model of PostgreSQL, a replica and capture.

const small = fc.nat({ max: 5 });
const commands = fc.array(
  fc.record({
    do: fc.nat({ max: 20 }),
    slot: fc.nat({ max: 2 }),
    id: small,
    other: small,
    kind: fc.nat({ max: 40 }),
  }),
  { minLength: 40, maxLength: 160 },
);

function play(
  steps: readonly { do: number; slot: number; id: number; other: number; kind: number }[],
  rule: Rule,
  identity: Identity = 'key',
) {
  const model = new Model('exact', identity);
  for (const [index, { do: what, slot, id, other, kind }] of steps.entries()) {
    const action = kind === 40 ? 7 : kind % 7;
    if (what <= 3) model.begin(slot, IDS[id] ?? 1, action, IDS[other] ?? 1, `v${index}`);
    else if (what <= 6) model.commit(slot);
    else if (what <= 8) model.show(id);
    else if (what === 9) model.flush();
    else if (what <= 11) model.replay();
    else if (what === 12 && kind < 8) model.crash();
    else if (what === 13 && kind < 8) model.cancel();
    else if (what <= 15) model.step(kind, rule);
    else if (what >= 19) model.capture();
    else model.writeAtOnce(slot, IDS[id] ?? 1, action, IDS[other] ?? 1, `v${index}`);
  }
  return { ...comeToRest(model, rule), pasts: model.pasts };
}

test('chunks read at different times and the events between two snapshots make the later one', () => {
  let exactCount = 0;
  fc.assert(
    fc.property(commands, (steps) => {
      const { result, replica, source } = play(steps, 'visibility');
      expect(replica).toEqual(source);
      if (result === 'single') return;
      exactCount += 1;
      expect(result.files).toEqual(result.wanted);
    }),
    { numRuns: 1_500 },
  );
  expect(exactCount).toBeGreaterThan(700);
});

test('the same chunks and the events around a cut make the state at that', () => {
  let pastCount = 0;
  fc.assert(
    fc.property(commands, (steps) => {
      const { pasts } = play(steps, 'visibility', 'full');
      for (const { files, wanted } of pasts) expect(files).toEqual(wanted);
      pastCount += pasts.length;
    }),
    { numRuns: 500 },
  );
  expect(pastCount).toBeGreaterThan(2_000);
});

test('the last snapshot alone does not say which records of a past state the chunks have', () => {
  const isWrong = fc.sample(commands, { numRuns: 500, seed: 1 }).filter((steps) => {
    const { pasts } = play(steps, 'end', 'full');
    return pasts.some(({ files, wanted }) => files.join() !== wanted.join());
  });
  expect(isWrong.length).toBeGreaterThan(3);
});

test('positions in the WAL cannot decide the same', () => {
  const isWrong = fc.sample(commands, { numRuns: 1_000, seed: 1 }).filter((steps) => {
    const { result } = play(steps, 'positions');
    return result !== 'single' && result.files.join() !== result.wanted.join();
  });
  expect(isWrong.length).toBeGreaterThan(3);
});

/** A record that is new to our account, and its large value is not sent. */
function startMove(model: Model): void {
  model.writeAtOnce(0, 1, 6, 2, 'first');
  model.begin(0, 1, 5, 2, 'moved');
  model.commit(0);
  model.flush();
}

function writeLater(model: Model): void {
  model.begin(1, 1, 2, 2, 'later');
  model.commit(1);
  model.show(0);
}

const FAULTS: Record<Exclude<Fill, 'exact'>, (model: Model) => void> = {
  unseen(model) {
    startMove(model);
    while (model.capture());
  },
  undated(model) {
    // The reading begins, and all chunks are read.
    for (let step = 0; step < 2 + 2 * ENDS.length; step += 1) model.step(0, 'visibility');
    startMove(model);
    model.show(0);
    model.step(0, 'visibility');
    writeLater(model);
    model.flush();
  },
  volatile(model) {
    startMove(model);
    model.show(0);
    writeLater(model);
    while (model.capture());
    model.crash();
  },
};

test.each([
  ['before its change is visible', 'unseen'],
  ['without its position', 'undated'],
  ['and told before it is on disk', 'volatile'],
] as const)('a value that is read %s is wrong in files or replicas', (_, fault) => {
  const areRight = (fill: Fill) => {
    const model = new Model(fill);
    FAULTS[fault](model);
    const { result, replica, source } = comeToRest(model, 'visibility');
    const areFilesRight = result === 'single' || result.files.join() === result.wanted.join();
    return areFilesRight && replica.join() === source.join();
  };
  expect([areRight('exact'), areRight(fault)]).toEqual([true, false]);
});
