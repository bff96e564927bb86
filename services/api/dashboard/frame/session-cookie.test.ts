import { expect, test } from 'vitest';
import { createSessionCookies } from './session-cookie.ts';

const [TOKEN, OTHER] = ['a'.repeat(43), 'b'.repeat(43)];
const https = createSessionCookies(() => true);
const open = createSessionCookies(() => false);

test('with https the cookie is of this host alone, and in a frame of that frame alone', () => {
  expect(https.set(TOKEN, { isSecure: true, isFramed: false, maxAgeSeconds: 60 })).toEqual([
    '__Host-tandem_framed=; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=0',
    'tandem_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
    `__Host-tandem_session=${TOKEN}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=60`,
  ]);
  expect(https.set(TOKEN, { isSecure: true, isFramed: true, maxAgeSeconds: 60 })).toEqual([
    '__Host-tandem_session=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0',
    'tandem_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
    `__Host-tandem_framed=${TOKEN}; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=60`,
  ]);
});

test('on plain http it has a plain name, since browsers refuse the others', () => {
  expect(open.set(TOKEN, { isSecure: false, isFramed: true, maxAgeSeconds: 60 })).toEqual([
    `tandem_session=${TOKEN}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60`,
  ]);
});

test('tokens are read from their own cookies only, those that no other host can set first', () => {
  expect(https.read(`a=b; __Host-tandem_session=${TOKEN}; c=d`)).toEqual([TOKEN]);
  expect(https.read(`tandem_session=${OTHER}; __Host-tandem_framed=${TOKEN}`)).toEqual([TOKEN]);
  expect(open.read(`tandem_session=${OTHER}; __Host-tandem_session=${TOKEN}`)).toEqual([TOKEN, OTHER]);
  expect(https.read('__Host-tandem_session=short')).toEqual([]);
  expect(https.read(undefined)).toEqual([]);
  const many = Array.from({ length: 50 }, (_, at) => `tandem_session=${String(at).padStart(43, 'x')}`);
  expect(open.read(many.join('; '))).toHaveLength(4);
});

test('what the browser has sent is removed, each as it was set', () => {
  expect(https.clear(`__Host-tandem_framed=${TOKEN}; a=b; tandem_session=`)).toEqual([
    '__Host-tandem_framed=; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=0',
    'tandem_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
  ]);
  expect(https.clear(undefined)).toEqual([]);
});
