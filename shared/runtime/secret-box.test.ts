import { expect, test } from 'vitest';
import { createSecretBox } from './secret-box.ts';

const KEY = 'a key of thirty-two characters!!';

test('what was sealed opens again, and no two seals are the same', () => {
  const box = createSecretBox(KEY, 'test');
  const sealed = box.seal('whsec_ü');
  expect(box.open(sealed)).toBe('whsec_ü');
  expect(box.seal('whsec_ü')).not.toBe(sealed);
  expect(sealed).not.toContain('whsec');
});

test('an altered text, another key and another purpose do not open', () => {
  const sealed = createSecretBox(KEY, 'test').seal('secret');
  const altered = sealed.slice(0, -2) + (sealed.endsWith('AA') ? 'BB' : 'AA');
  expect(() => createSecretBox(KEY, 'test').open(altered)).toThrow('does not open');
  expect(() => createSecretBox(`${KEY}x`, 'test').open(sealed)).toThrow('does not open');
  expect(() => createSecretBox(KEY, 'other').open(sealed)).toThrow('does not open');
  for (const text of ['', 'k1..', 'k2.a.b', 'plain']) {
    expect(() => createSecretBox(KEY, 'test').open(text)).toThrow();
  }
});
