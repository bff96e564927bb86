import { KafkaJSError } from 'kafkajs';
import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { SetupError } from '../../shared/runtime/errors.ts';
import { createLog, silentLog } from '../../shared/runtime/log.ts';
import { GapPossibleError } from './publish/resume.ts';
import { SlotHeldError } from './replication/source-queries.ts';
import { StreamLostError } from './replication/stream.ts';
import { classifySessionError, createCaptureWorker } from './session.ts';

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

function serverError(code: string): DatabaseError {
  const error = new DatabaseError('said by the server', 1, 'error');
  error.code = code;
  return error;
}

test('a slot in use is waited for, whoever found it out', () => {
  expect(classifySessionError(new SlotHeldError('s', 1))).toBe('wait');
  expect(classifySessionError(serverError('55006'))).toBe('wait');
});

test('what breaks on the way and comes back is tried again', () => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  for (const error of [
    new StreamLostError('lost'),
    new KafkaJSError('gone'),
    serverError('57P01'),
    serverError('53300'),
    serverError('55P03'),
    new TypeError('fetch failed', { cause: refused }),
    new Error('learning a table', { cause: new KafkaJSError('gone') }),
  ]) {
    expect(classifySessionError(error)).toBe('retry');
  }
});

test('a gap, a wrong set-up, a refusal of the server and a bug stop the service', () => {
  for (const error of [
    new GapPossibleError('slot_ahead', 's', 1n, 'x'),
    new SetupError('no slot'),
    serverError('42501'),
    new TypeError('undefined is not a function'),
    'not even an error',
  ]) {
    expect(classifySessionError(error)).toBe('stop');
  }
});
