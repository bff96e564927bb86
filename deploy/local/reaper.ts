/**
 * A process of its own that outlives the one that started it, even by SIGKILL. It holds a pipe from its
 * owner; when the pipe closes, it ends whatever the owner's run file still lists, and itself.
 */

import { endProcesses, readRunFile, removeRunFile } from './run-processes.ts';

const path = process.argv[2];
if (path === undefined) throw new Error('usage: node reaper.ts <run file>');

// A Ctrl-C in the terminal, or its end, is the owner's business. The reaper leaves by the pipe only.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

process.stdin.resume();
process.stdin.on('error', () => undefined);
process.stdin.once('close', async () => {
  const run = readRunFile(path);
  if (run === null) return;
  await endProcesses(run.children);
  removeRunFile(path);
});
