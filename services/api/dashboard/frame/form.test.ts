import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { ApiRequest, RawBody } from '../../http/route.ts';
import { languageOf } from '../messages/messages.ts';
import { isOwnOrigin, readForm } from './form.ts';

const OWN = 'https://t.example.com';

function sent(body: string): ApiRequest {
  const headers = { origin: OWN, 'content-type': 'application/x-www-form-urlencoded' } as const;
  const incoming = Object.assign(Readable.from([Buffer.from(body)]), { headers, complete: true }) as RawBody;
  const header = (name: string) => headers[name as keyof typeof headers];
  return { header, incoming } as ApiRequest;
}

test('a form has a number of fields that code may look through for each of them', async () => {
  const { problems } = languageOf('en').text.frame;
  const read = (count: number) =>
    readForm(sent(Array(count).fill('resource=a').join('&')), OWN, problems, { maxBytes: 1e6 });
  expect((await read(5_000)).fields.getAll('resource')).toHaveLength(5_000);
  await expect(read(5_001)).rejects.toMatchObject({ code: 'too_large' });
});

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
