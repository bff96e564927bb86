import { expect, test } from 'vitest';
import { isOwnOrigin } from './form.ts';

test.each([
  ['https://t.example.com', 't.example.com', true],
  ['https://t.example.com', 'inner:8080', true],
  ['http://t.example.com', 't.example.com', false],
  ['https://inner:8080', 'inner:8080', false],
  ['null', 't.example.com', false],
  [undefined, 't.example.com', false],
])('with PUBLIC_URL only its origin is own: %s at host %s', (origin, host, isOwn) => {
  expect(isOwnOrigin(origin, host, 'https://t.example.com')).toBe(isOwn);
});

test.each([
  ['https://t.example.com', 't.example.com', true],
  ['http://t.example.com:8080', 't.example.com:8080', true],
  ['https://evil.example', 't.example.com', false],
  ['ftp://t.example.com', 't.example.com', false],
  ['null', undefined, false],
  ['null', '', false],
  [undefined, undefined, false],
  ['mailto:x', '', false],
])('without it the host is own, over http and https alone: %s at host %s', (origin, host, isOwn) => {
  expect(isOwnOrigin(origin, host, undefined)).toBe(isOwn);
});
