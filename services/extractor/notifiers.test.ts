import { expect, test } from 'vitest';
import { createNotifiers } from './notifiers.ts';

function setUp() {
  const notifiers = createNotifiers();
  const heard: string[] = [];
  const hear = (what: string) => () => void heard.push(what);
  return { notifiers, heard, hear };
}

test('a chunk that is read is told to those who wait for its export, and renews no lease', () => {
  const { notifiers, heard, hear } = setUp();
  notifiers.onChange('a', hear('a waits'));
  notifiers.onInterruption('a', hear('a renews'));
  notifiers.onChange('b', hear('b waits'));
  notifiers.notifyChange('a');
  expect(heard).toEqual(['a waits']);
});

test('an export that may be over is told to all who work on it, and to nobody else', () => {
  const { notifiers, heard, hear } = setUp();
  notifiers.onChange('a', hear('a waits'));
  notifiers.onInterruption('a', hear('holder of a renews'));
  notifiers.onInterruption('a', hear('reader of a renews'));
  notifiers.onInterruption('b', hear('b renews'));
  notifiers.notifyInterruption('a');
  expect(heard).toEqual(['a waits', 'holder of a renews', 'reader of a renews']);
});

test('a listener that is removed hears nothing, and takes no other with it', () => {
  const { notifiers, heard, hear } = setUp();
  const remove = notifiers.onChange('a', hear('first'));
  notifiers.onChange('a', hear('second'));
  remove();
  remove();
  notifiers.notifyChange('a');
  expect(heard).toEqual(['second']);
  const removeLast = notifiers.onChange('b', hear('third'));
  removeLast();
  notifiers.onChange('b', hear('fourth'));
  removeLast();
  notifiers.notifyChange('b');
  expect(heard).toEqual(['second', 'fourth']);
});
