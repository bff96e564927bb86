import { expect, test } from 'vitest';
import { createSecretBox, openHeaders, sealHeaders } from './secret-box.ts';

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

test('what an earlier key sealed opens, is told apart, and what is sealed now needs the new key', () => {
  const old = createSecretBox(KEY, 'test');
  const both = createSecretBox(`${KEY}2`, 'test', [`${KEY}1`, KEY]);
  const sealed = old.seal('secret');
  expect(both.open(sealed)).toBe('secret');
  expect(both.isCurrent(sealed)).toBe(false);
  const again = both.seal(both.open(sealed));
  expect(both.isCurrent(again)).toBe(true);
  expect(createSecretBox(`${KEY}2`, 'test').open(again)).toBe('secret');
  expect(() => old.open(again)).toThrow('does not open');
});

const box = createSecretBox('a key of thirty-two characters, or more', 'test');

test('headers open as they were sealed, and nothing of them is to be read in between', () => {
  const sealed = sealHeaders({ authorization: 'Bearer hush' }, box);
  expect(sealed).not.toContain('hush');
  expect(openHeaders(sealed, box)).toEqual({ authorization: 'Bearer hush' });
});

test('headers that an earlier version kept in clear are taken as they are', () => {
  expect(openHeaders({ 'x-a': '1' }, box)).toEqual({ 'x-a': '1' });
});
