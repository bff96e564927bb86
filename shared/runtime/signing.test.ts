import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { createSigner, secretToKey, sign } from './signing.ts';

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

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('the published vector is met', () => {
  const body = Buffer.from('{"test": 2432232314}');
  expect(sign([secretToKey(SECRET)], 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, body)).toBe(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  );
});

test('an independent verifier accepts multi-byte text, wide numbers and an empty object', () => {
  const timestamp = Math.floor(Date.now() / 1_000);
  for (const text of ['{"a":"żółć 🧾"}', '{"n":12345678901234567890}', '{}']) {
    const headers = {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(timestamp),
      'webhook-signature': sign([secretToKey(SECRET)], 'evt_1', timestamp, Buffer.from(text)),
    };
    expect(() => new Webhook(SECRET).verify(text, headers)).not.toThrow();
    expect(() => new Webhook(SECRET).verify(`${text} `, headers)).toThrow();
  }
});

test('both secrets of a rotation verify', () => {
  const older = `whsec_${Buffer.from('an older key of enough bytes').toString('base64')}`;
  const timestamp = Math.floor(Date.now() / 1_000);
  const headers = {
    'webhook-id': 'evt_1',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': sign([SECRET, older].map(secretToKey), 'evt_1', timestamp, Buffer.from('{}')),
  };
  for (const secret of [SECRET, older]) {
    expect(() => new Webhook(secret).verify('{}', headers)).not.toThrow();
  }
});

test('an empty secret never signs', () => {
  expect(() => secretToKey('whsec_')).toThrow(RangeError);
});
