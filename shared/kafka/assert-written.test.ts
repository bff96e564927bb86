import { expect, test } from 'vitest';
import { classifyTransient } from '../runtime/transient.ts';
import { assertWritten } from './assert-written.ts';

const written = (topicName: string, partition: number) => ({ topicName, partition, errorCode: 0 });

test('a partition without a response fails the request, and may pass by itself', () => {
  const sent = [
    { topic: 'rows.a', partition: 0 },
    { topic: 'rows.b', partition: 1 },
  ];
  expect(() => assertWritten(sent, [written('rows.a', 0), written('rows.b', 1)])).not.toThrow();
  const check = () => assertWritten(sent, [written('rows.a', 0), written('rows.b', 0)]);
  expect(check).toThrow('rows.b/1');
  try {
    check();
  } catch (error) {
    expect(classifyTransient(error)).toBe('kafka');
  }
});
