import { expect, test } from 'vitest';
import { openHeaders, sealHeaders } from './sealed-headers.ts';
import { createSecretBox } from './secret-box.ts';

const box = createSecretBox('a key of thirty-two characters, or more', 'test');

test('headers open as they were sealed, and nothing of them is to be read in between', () => {
  const sealed = sealHeaders({ authorization: 'Bearer hush' }, box);
  expect(sealed).not.toContain('hush');
  expect(openHeaders(sealed, box)).toEqual({ authorization: 'Bearer hush' });
});

test('headers that an earlier version kept in clear are taken as they are', () => {
  expect(openHeaders({ 'x-a': '1' }, box)).toEqual({ 'x-a': '1' });
});
