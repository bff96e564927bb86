import { expect, test } from 'vitest';
import { startFakeTracing } from '../../../test/support/fake-tracing.ts';
import type { RecordedEvent } from './insert-events.ts';
import { recordInSpans } from './trace-recording.ts';

const event = (index: number, traceparent?: string) => ({ index, traceparent }) as RecordedEvent;

const EVENTS = [event(0, 'capture-1'), event(1), event(2, 'capture-2'), event(3, 'capture-1')];

test('each traced transaction gets one span of its trace, which its events carry on', async () => {
  using tracing = startFakeTracing();
  let recorded: readonly RecordedEvent[] = [];
  await recordInSpans(EVENTS, async (events) => {
    recorded = events;
    expect(tracing.spans.every(({ isOpen }) => isOpen)).toBe(true);
  });
  expect(tracing.spans.map(({ start }) => [start.parent, start.links])).toEqual([
    ['capture-1', ['capture-1']],
    ['capture-2', ['capture-2']],
  ]);
  expect(tracing.spans.map(({ attributes }) => attributes['tandem.events'])).toEqual([2, 1]);
  expect(tracing.spans.some(({ isOpen }) => isOpen)).toBe(false);
  expect(recorded.map(({ traceparent }) => traceparent)).toEqual(['span-1', undefined, 'span-2', 'span-1']);
});

test('a failed insert fails the spans', async () => {
  using tracing = startFakeTracing();
  const error = new Error('the store is away');
  await expect(recordInSpans(EVENTS, () => Promise.reject(error))).rejects.toBe(error);
  expect(tracing.spans.map(({ failures, isOpen }) => [failures, isOpen])).toEqual([
    [[error], false],
    [[error], false],
  ]);
});

test('without tracing the same events are recorded', async () => {
  let recorded: readonly RecordedEvent[] = [];
  await recordInSpans(EVENTS, async (events) => {
    recorded = events;
  });
  expect(recorded).toBe(EVENTS);
});
