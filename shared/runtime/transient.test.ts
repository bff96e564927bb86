import { S3ServiceException } from '@aws-sdk/client-s3';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { expect, test } from 'vitest';
import { causesOf, classifyTransient } from './transient.ts';

function refusedWith(code: string): Error {
  return Object.assign(new pg.DatabaseError('refused', 7, 'error'), { code });
}

function withCode(code: string): Error {
  return Object.assign(new Error('x'), { code });
}

test('a failure outside of the call has a kind, however deep its cause', () => {
  expect(classifyTransient(withCode('ECONNREFUSED'))).toBe('network');
  expect(classifyTransient(withCode('ENOTFOUND'))).toBe('unknown_host');
  expect(classifyTransient(new Error('reading', { cause: refusedWith('57P01') }))).toBe('shutdown');
  expect(classifyTransient(new TypeError('fetch failed', { cause: withCode('EPIPE') }))).toBe('network');
  expect(classifyTransient(new Error('sending', { cause: new kafkajs.KafkaJSError('gone') }))).toBe('kafka');
  expect(classifyTransient(Object.assign(new Error('x'), { name: 'ResponseError', status: 503 }))).toBe(
    'http',
  );
  const busy = new S3ServiceException({
    name: 'SlowDown',
    $fault: 'server',
    $metadata: { httpStatusCode: 503 },
  });
  expect(classifyTransient(busy)).toBe('http');
});

test('a code of PostgreSQL comes before its class', () => {
  expect(classifyTransient(refusedWith('57014'))).toBe('timeout');
  expect(classifyTransient(refusedWith('57P03'))).toBe('shutdown');
  expect(classifyTransient(refusedWith('55P03'))).toBe('lock');
  expect(classifyTransient(refusedWith('55000'))).toBeUndefined();
});

test('a refusal and a bug have none', () => {
  expect(classifyTransient(refusedWith('42501'))).toBeUndefined();
  expect(
    classifyTransient(Object.assign(new Error('x'), { name: 'ResponseError', status: 404 })),
  ).toBeUndefined();
  expect(classifyTransient(new TypeError('undefined is not a function'))).toBeUndefined();
  expect(classifyTransient('not even an error')).toBeUndefined();
});

test('a cycle of causes ends', () => {
  const first = new Error('first');
  first.cause = new Error('second', { cause: first });
  expect(causesOf(first).length).toBeLessThan(10);
});
