import { expect, test } from 'vitest';
import { createSigner } from './signing.ts';

const signer = createSigner('a key of thirty-two characters!!', 'test');

test('a signature holds for its text and purpose only', () => {
  const signature = signer.sign('text');
  expect(signature).toMatch(/^[\w-]{43}$/);
  expect(signer.verify('text', signature)).toBe(true);
  expect(signer.verify('texu', signature)).toBe(false);
  expect(createSigner('a key of thirty-two characters!!', 'other').verify('text', signature)).toBe(false);
});

test('no changed character of a signature passes, not even one with the same bytes', () => {
  const signature = signer.sign('text');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=';
  for (let at = 0; at < signature.length; at++) {
    for (const letter of alphabet) {
      if (letter === signature[at]) continue;
      expect(signer.verify('text', signature.slice(0, at) + letter + signature.slice(at + 1))).toBe(false);
    }
  }
  expect(signer.verify('text', '')).toBe(false);
});

test('what an earlier key signed stays good while it is among the accepted ones', () => {
  const next = createSigner('another key of such a length as is asked', 'test', [
    'a key of thirty-two characters!!',
  ]);
  expect(next.verify('text', signer.sign('text'))).toBe(true);
  expect(next.verify('texu', signer.sign('text'))).toBe(false);
  expect(signer.verify('text', next.sign('text'))).toBe(false);
});
