import { expect, test } from 'vitest';
import type { ProgressBatch } from '../../../shared/control/webhooks/save-progress.ts';
import { FEED_START } from '../../../shared/domain/position.ts';
import { HEALTHY } from '../endpoints/endpoint-health.ts';
import { createProgressSaver, type Savable } from './progress-saver.ts';

const EMPTY: ProgressBatch = { endpoints: [], retries: [], endedRetries: [] };
const ENDPOINTS = ['a', 'b'];

/** Lets all that needs no more than the event loop come to rest. */
const settle = async () => {
  for (let n = 0; n < 10; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('what is marked while a save is under way goes with the next one', async () => {
  const saves: PromiseWithResolvers<Set<string>>[] = [];
  const saver = createProgressSaver(() => {
    const save = Promise.withResolvers<Set<string>>();
    saves.push(save);
    return save.promise;
  });
  const told: string[] = [];
  const endpoint = (id: string): Savable => ({
    id,
    accountId: id,
    collect: () => EMPTY,
    onSaved: (isHeld) => void told.push(`${id} ${isHeld}`),
  });
  for (const id of ENDPOINTS) saver.mark(endpoint(id));
  await settle();
  saver.mark(endpoint('c'));
  await settle();
  expect(saves).toHaveLength(1);
  saves[0]?.resolve(new Set(['a']));
  await settle();
  expect(told).toEqual(['a true', 'b false']);
  expect(saves).toHaveLength(2);
});

test('an account with much to save holds up nobody else’s save, and has one at a time', async () => {
  const saves: { ids: string[]; done: PromiseWithResolvers<Set<string>> }[] = [];
  const saver = createProgressSaver((batch) => {
    const done = Promise.withResolvers<Set<string>>();
    saves.push({ ids: batch.endpoints.map(({ endpointId }) => endpointId), done });
    return done.promise;
  });
  const endpoint = (id: string, accountId: string, doneCount: number): Savable => ({
    id,
    accountId,
    collect: () => ({
      ...EMPTY,
      endpoints: [
        {
          endpointId: id,
          cursorEpoch: 0,
          leaseEpoch: 1,
          cursor: FEED_START,
          done: Array.from({ length: doneCount }, String),
          health: HEALTHY,
          disabledBy: undefined,
        },
      ],
    }),
    onSaved: () => undefined,
  });
  saver.mark(endpoint('much', 'busy', 1_000));
  saver.mark(endpoint('little', 'quiet', 1));
  await settle();
  expect(saves.map(({ ids }) => ids)).toEqual([['little'], ['much']]);
  saves[0]?.done.resolve(new Set());
  saver.mark(endpoint('more', 'busy', 1));
  saver.mark(endpoint('again', 'quiet', 1));
  await settle();
  expect(saves.map(({ ids }) => ids)).toEqual([['little'], ['much'], ['again']]);
  saves[1]?.done.resolve(new Set());
  saves[2]?.done.resolve(new Set());
  await settle();
  expect(saves.map(({ ids }) => ids)).toEqual([['little'], ['much'], ['again'], ['more']]);
});

test.each([0, 1, 2, 3, 4, 5])('what is marked %i turns behind a save is saved too', async (turns) => {
  let saveCount = 0;
  const saver = createProgressSaver(async () => {
    saveCount += 1;
    return new Set(ENDPOINTS);
  });
  const late: Savable = { id: 'b', accountId: 'b', collect: () => EMPTY, onSaved: () => undefined };
  const first: Savable = {
    id: 'a',
    accountId: 'a',
    collect: () => EMPTY,
    async onSaved() {
      for (let n = 0; n < turns; n += 1) await Promise.resolve();
      saver.mark(late);
    },
  };
  saver.mark(first);
  await settle();
  expect(saveCount).toBe(2);
});
