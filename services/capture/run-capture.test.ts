import { expect, test } from 'vitest';
import { createLog, silentLog } from '../../shared/runtime/log.ts';
import { GapPossibleError } from './gap-possible-error.ts';
import { SlotHeldError } from './replication/slot.ts';
import { createCaptureWorker } from './run-capture.ts';

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

test('a possible gap ends the worker at once, with a line of its own for alerts', async () => {
  const gap = new GapPossibleError('slot_missing', 's', 16n, 'the slot does not exist');
  const lines: string[] = [];
  const log = createLog('error', {}, (line) => lines.push(line));
  const worker = createCaptureWorker({ runSession: () => Promise.reject(gap), log });
  await expect(worker.run(new AbortController().signal)).rejects.toBe(gap);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 'error', event: 'gap.possible', reason: 'slot_missing', passedLsn: '0/10' },
  ]);
});
