import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { choosePort, holdPort } from './ports.ts';

test('a port that is held is nobody else’s, although nothing listens on it, until it is let go', async () => {
  const { port, ...held } = await holdPort(randomInt(20_000, 32_000));
  try {
    expect(await choosePort(port)).not.toBe(port);
  } finally {
    held[Symbol.dispose]();
  }
  using again = await holdPort(port);
  expect(again.port).toBe(port);
});
