import { expect, test } from 'vitest';
import { LeaseLostError } from './extraction-errors.ts';
import { startPulse } from './pulse.ts';

function setUp(beats: (() => Promise<Error | undefined>)[]) {
  let nowMs = 0;
  const over = Promise.withResolvers<Error>();
  const beaten = beats.map(() => Promise.withResolvers<void>());
  let beatCount = 0;
  const pulse = startPulse({
    async beat() {
      const index = beatCount;
      beatCount += 1;
      try {
        return await beats[index]?.();
      } finally {
        beaten[index]?.resolve();
      }
    },
    onOver: over.resolve,
    onMiss: () => undefined,
    now: () => nowMs,
  });
  return {
    pulse,
    over: over.promise,
    beaten: beaten.map(({ promise }) => promise),
    setNow(ms: number) {
      nowMs = ms;
    },
  };
}

const held = async () => undefined;
const unreachable = async () => {
  throw new Error('the store is away');
};

test('the work is over with the reason that a beat gives', async () => {
  const reason = new Error('cancelled');
  const { pulse, over } = setUp([async () => reason]);
  pulse.ring();
  expect(await over).toBe(reason);
  await pulse.stop();
});

test('a store that is away is put up with until the lease must have run out', async () => {
  const { pulse, over, beaten, setNow } = setUp([held, unreachable, unreachable]);
  setNow(1_000);
  pulse.ring();
  await beaten[0];
  setNow(10_999);
  pulse.ring();
  await beaten[1];
  setNow(11_000);
  pulse.ring();
  expect(await over).toBeInstanceOf(LeaseLostError);
  await pulse.stop();
});
