import { PassThrough } from 'node:stream';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createDuring } from './during.ts';

function streamOf(isTTY: boolean): { stream: NodeJS.WriteStream; output: () => string } {
  const stream = new PassThrough();
  let output = '';
  stream.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const cursor = { cursorTo: () => true, moveCursor: () => true, clearLine: () => true };
  return {
    stream: Object.assign(stream, cursor, { isTTY }) as unknown as NodeJS.WriteStream,
    output: () => output,
  };
}

test('where nobody watches, a step is one plain line', async () => {
  const lines: string[] = [];
  const { stream, output } = streamOf(false);
  expect(await createDuring((line) => lines.push(line), stream)('starting', async () => 7)).toBe(7);
  expect(lines).toEqual(['starting']);
  expect(output()).toBe('');
});

test('where nobody watches, reports are lines, and not too many of them', async () => {
  const lines: string[] = [];
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const during = createDuring((line) => lines.push(line), streamOf(false).stream);
  await during('export', async (report) => {
    report('1 %');
    vi.advanceTimersByTime(5_000);
    report('50 %');
    report('51 %');
  });
  expect(lines).toEqual(['export', 'export 50 %']);
});

test('a terminal shows how a step ended', async () => {
  const { stream, output } = streamOf(true);
  const during = createDuring(() => undefined, stream);
  expect(await during('starting', async () => 7)).toBe(7);
  expect(output()).toContain('starting: done in 0 s');
  const failing = during('stopping', () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(output()).toContain('stopping: failed after 0 s');
});
