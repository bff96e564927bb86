import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeBrokerClock } from './broker-clock.ts';

test('without transactions there is nothing to compare', () => {
  expect(describeBrokerClock({ brokerId: 1, transactions: [] }, 0).status).toBe('ok');
});

test('a difference is told if it is certain, whatever transactions and pauses take', () => {
  const pauses = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 10_000 })),
    {
      minLength: 1,
      maxLength: 20,
    },
  );
  fc.assert(
    fc.property(fc.integer({ min: -4_000_000, max: 4_000_000 }), pauses, (aheadMs, steps) => {
      let atMs = 1_000_000_000;
      const transactions = steps.map(([pauseMs, takesMs]) => {
        const writerAtMs = atMs + pauseMs;
        atMs = writerAtMs + takesMs;
        return { writerAtMs, brokerAtMs: atMs + aheadMs };
      });
      const { status, detail } = describeBrokerClock({ brokerId: 3, transactions }, atMs);
      if (Math.abs(aheadMs) <= 5_000) expect(status).toBe('ok');
      if (aheadMs < -15_000 || aheadMs > 5_000) expect(status).toBe('warning');
      if (status === 'warning') expect(detail).toContain(aheadMs > 0 ? 'ahead' : 'behind');
    }),
  );
});
