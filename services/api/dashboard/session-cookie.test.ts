import { expect, test } from 'vitest';
import { createSessionCookies } from './session-cookie.ts';

const TOKEN = 'a'.repeat(43);
const secure = createSessionCookies(() => true);
const plain = createSessionCookies(() => false);

test('with https the cookie is of this host alone, and in a frame of that frame alone', () => {
  expect(secure.set(TOKEN, { isFramed: false, maxAgeSeconds: 60 })).toBe(
    `__Host-tandem_session=${TOKEN}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=60`,
  );
  expect(secure.set(TOKEN, { isFramed: true, maxAgeSeconds: 60 })).toBe(
    `__Host-tandem_session=${TOKEN}; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=60`,
  );
  expect(secure.clear({ isFramed: true })).toMatch(/^__Host-tandem_session=; .*Partitioned; Max-Age=0$/);
});

test('on plain http it has a plain name, since browsers refuse the other', () => {
  expect(plain.set(TOKEN, { isFramed: true, maxAgeSeconds: 60 })).toBe(
    `tandem_session=${TOKEN}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60`,
  );
});

test('a token is read from its own cookie only', () => {
  expect(secure.read(`a=b; __Host-tandem_session=${TOKEN}; c=d`)).toBe(TOKEN);
  expect(secure.read(`tandem_session=${TOKEN}`)).toBeUndefined();
  expect(plain.read(`__Host-tandem_session=${TOKEN}`)).toBeUndefined();
  expect(secure.read('__Host-tandem_session=short')).toBeUndefined();
  expect(secure.read(undefined)).toBeUndefined();
});
