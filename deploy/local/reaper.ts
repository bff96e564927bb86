/**
 * A process of its own that outlives the one that started it, even by SIGKILL. It reads a pipe from its owner, which
 * reports each child that starts or ends. When the pipe closes, it ends the children that are left, and itself. It
 * needs no file for that: the owner's directory may be gone by then.
 */

import { type ChildRecord, childChange, endProcesses, removeRunFile } from './run-processes.ts';

const path = process.argv[2];
if (path === undefined) throw new Error('usage: node reaper.ts <run file>');

// A Ctrl-C in the terminal, or its end, is the owner's business. The reaper leaves by the pipe only.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const running = new Map<number, ChildRecord>();
let unfinished = '';

process.stdin.setEncoding('utf8');
process.stdin.on('data', (text: string) => {
  const lines = (unfinished + text).split('\n');
  // The owner may die within a line. That child then never got its go.
  unfinished = lines.pop() ?? '';
  for (const line of lines) {
    const change = childChange.parse(JSON.parse(line));
    if ('ended' in change) running.delete(change.ended);
    else running.set(change.started.pid, change.started);
  }
});
process.stdin.on('error', () => undefined);
process.stdin.once('close', async () => {
  await endProcesses([...running.values()]);
  removeRunFile(path);
});
