import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LiveState } from './live.ts';
import { createLiveChannel } from './live-channel.ts';
import type { LiveStream } from './live-stream.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A page that looks, and the shapes that it was sent. */
function viewer() {
  const shapes: string[] = [];
  const stream = {
    send: (event: string, state?: LiveState) =>
      void shapes.push(event === 'state' ? (state?.shape ?? '') : event),
    end: () => undefined,
    onClose: () => undefined,
  } as unknown as LiveStream;
  return { stream, shapes };
}

test('a page that was just loaded gets no state from before it, and those who look already get the new one too', async () => {
  let shape = 'empty';
  let readings = 0;
  const read = async () => {
    readings += 1;
    return { state: { shape, texts: {}, bars: {}, columns: {}, links: {} }, everySeconds: 5 };
  };
  const channel = createLiveChannel(
    () => undefined,
    () => undefined,
  );
  const [first, second, third] = [viewer(), viewer(), viewer()];
  await channel.join({ stream: first.stream, read }, undefined);
  shape = 'with a check';
  vi.advanceTimersByTime(1_000);
  await channel.join({ stream: second.stream, read }, undefined);
  await channel.join({ stream: third.stream, read }, undefined);
  expect([first.shapes, second.shapes, third.shapes]).toEqual([
    ['empty', 'with a check'],
    ['with a check'],
    ['with a check'],
  ]);
  // Pages that are loaded at the same time share a reading.
  expect(readings).toBe(2);
});
