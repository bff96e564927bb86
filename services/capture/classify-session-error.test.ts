import { KafkaJSError } from 'kafkajs';
import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { SetupError } from '../../shared/runtime/errors.ts';
import { classifySessionError } from './classify-session-error.ts';
import { GapPossibleError } from './gap-possible-error.ts';
import { SlotHeldError } from './replication/slot.ts';
import { StreamLostError } from './replication/stream.ts';

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
