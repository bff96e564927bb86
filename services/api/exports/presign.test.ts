import { expect, test } from 'vitest';
import { createSigner } from '../../../shared/runtime/signing.ts';
import { createPresigner } from './presign.ts';

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
