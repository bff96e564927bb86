import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { secretToKey, sign } from './signature.ts';

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
