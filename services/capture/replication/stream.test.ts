import { expect, test } from 'vitest';
import { createAcker } from './stream.ts';

test('what was only received is not confirmed', () => {
  const acker = createAcker();
  acker.received(100n);
  expect(acker.status()).toEqual({ written: 100n, flushed: 0n });
});

test('what is durable is confirmed, and never taken back', () => {
  const acker = createAcker();
  acker.received(100n);
  acker.durable(90n);
  acker.durable(80n);
  acker.received(70n);
  expect(acker.status()).toEqual({ written: 100n, flushed: 90n });
});

test('the server never hears that more is durable than was received', () => {
  const acker = createAcker();
  acker.durable(50n);
  expect(acker.status()).toEqual({ written: 50n, flushed: 50n });
});
