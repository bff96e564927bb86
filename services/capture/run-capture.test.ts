import { expect, test } from 'vitest';
import { silentLog } from '../../shared/runtime/log.ts';
import { GapPossibleError } from './gap-possible-error.ts';
import { createCaptureWorker } from './run-capture.ts';
import { SlotHeldError } from './source/slot.ts';

test('an instance that finds the slot held is ready, and stands by until told to stop', async () => {
  const stop = new AbortController();
  const worker = createCaptureWorker({
    runSession: () => Promise.reject(new SlotHeldError('s', 1)),
    log: silentLog,
  });
  const running = worker.run(stop.signal);
  await worker.ready;
  stop.abort();
  await running;
});

test('an instance is ready once it streams', async () => {
  const stop = new AbortController();
  const worker = createCaptureWorker({
    runSession: async (onStreaming, signal) => {
      onStreaming();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
    log: silentLog,
  });
  const running = worker.run(stop.signal);
  await worker.ready;
  stop.abort();
  await running;
});

test('a possible gap ends the worker, loudly and at once', async () => {
  const gap = new GapPossibleError('slot_missing', 's', 16n, 'the slot does not exist');
  const worker = createCaptureWorker({ runSession: () => Promise.reject(gap), log: silentLog });
  await expect(worker.run(new AbortController().signal)).rejects.toBe(gap);
});
