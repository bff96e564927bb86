import { expect, test } from 'vitest';
import { createSigner } from '../../../shared/runtime/signing.ts';
import { createPresigner, planDownload } from './download.ts';

const ETAG = '"abc"';
const none = { range: undefined, ifRange: undefined, ifMatch: undefined, ifNoneMatch: undefined };
const plan = (conditions: Partial<typeof none> | Record<string, string>, bytes = 100) =>
  planDownload({ ...none, ...conditions }, ETAG, bytes);

test.each([
  ['bytes=0-9', { kind: 'part', start: 0, end: 9 }],
  ['bytes=90-', { kind: 'part', start: 90, end: 99 }],
  ['bytes=90-1000', { kind: 'part', start: 90, end: 99 }],
  ['bytes=-10', { kind: 'part', start: 90, end: 99 }],
  ['bytes=-1000', { kind: 'part', start: 0, end: 99 }],
  ['bytes=0-0', { kind: 'part', start: 0, end: 0 }],
  ['bytes=100-', { kind: 'not_satisfiable' }],
  ['bytes=-0', { kind: 'not_satisfiable' }],
  ['bytes=9-0', { kind: 'whole' }],
  ['bytes=0-1,5-6', { kind: 'whole' }],
  ['bytes=a-b', { kind: 'whole' }],
  ['bytes=-', { kind: 'whole' }],
  ['lines=0-1', { kind: 'whole' }],
])('Range: %s of 100 bytes gives %o', (range, expected) => {
  expect(plan({ range })).toEqual(expected);
});

test('an empty file has no range that can be satisfied', () => {
  expect(plan({ range: 'bytes=0-' }, 0)).toEqual({ kind: 'not_satisfiable' });
  expect(plan({ range: 'bytes=-5' }, 0)).toEqual({ kind: 'not_satisfiable' });
  expect(plan({}, 0)).toEqual({ kind: 'whole' });
});

test('If-Match guards a resumed download against another file', () => {
  expect(plan({ ifMatch: '"old"', range: 'bytes=5-' })).toEqual({ kind: 'precondition_failed' });
  expect(plan({ ifMatch: `W/${ETAG}` })).toEqual({ kind: 'precondition_failed' });
  expect(plan({ ifMatch: `"old", ${ETAG}`, range: 'bytes=5-' })).toMatchObject({ kind: 'part' });
  expect(plan({ ifMatch: '*' })).toEqual({ kind: 'whole' });
});

test('If-None-Match saves a download of what the client has', () => {
  expect(plan({ ifNoneMatch: ETAG })).toEqual({ kind: 'not_modified' });
  expect(plan({ ifNoneMatch: `W/${ETAG}` })).toEqual({ kind: 'not_modified' });
  expect(plan({ ifNoneMatch: '"other"' })).toEqual({ kind: 'whole' });
});

test('If-Range gives the whole file when it is another one', () => {
  expect(plan({ range: 'bytes=5-', ifRange: ETAG })).toMatchObject({ kind: 'part' });
  expect(plan({ range: 'bytes=5-', ifRange: '"old"' })).toEqual({ kind: 'whole' });
  expect(plan({ range: 'bytes=5-', ifRange: 'Wed, 21 Oct 2015 07:28:00 GMT' })).toEqual({ kind: 'whole' });
});

const presigner = createPresigner(
  createSigner('a key of thirty-two characters!!', 'urls'),
  () => 'http://x/files',
);
const { url, expiresAt } = await presigner.presign('exports/exp_1/invoices.jsonl', 1_700_000_000_900);
const [path = '', query = ''] = url.slice('http://x/files/'.length).split('?');

test('a link holds until its second of expiry', () => {
  expect(expiresAt.getTime()).toBe(1_700_000_000_000);
  expect(presigner.verify(path, query, 1_699_999_999_999)).toBe('valid');
  expect(presigner.verify(path, query, 1_700_000_000_000)).toBe('expired');
});

test('one changed character anywhere in it is refused', () => {
  const whole = `${path}?${query}`;
  for (let at = 0; at < whole.length; at++) {
    for (const letter of ['A', '0', '-', '.', '%', '&']) {
      if (letter === whole[at]) continue;
      const [changedPath = '', changedQuery = ''] = (whole.slice(0, at) + letter + whole.slice(at + 1)).split(
        '?',
      );
      expect(presigner.verify(changedPath, changedQuery, 0)).toBe('altered');
    }
  }
  for (const more of ['&x=1', '&', '=', ' ']) expect(presigner.verify(path, query + more, 0)).toBe('altered');
  expect(presigner.verify(path, '', 0)).toBe('altered');
});
