/**
 * A parent for tests that kill one: `node parent-process.ts group <home>` keeps one child that sleeps,
 * `node parent-process.ts stack <home>` keeps a local stack. Each prints one line of JSON when it is up,
 * and then stays until it is told to stop.
 */
import { join } from 'node:path';
import { createChildGroup } from '../../deploy/local/child-group.ts';
import { startStack } from '../../deploy/local/stack.ts';
import { silentLog } from '../../shared/runtime/log.ts';

const [kind, home] = process.argv.slice(2);
if (home === undefined) throw new Error('usage: node parent-process.ts group|stack <home>');

// Listening before the line is printed: the test may send its signal the moment it has read it.
const stopped = new Promise((resolve) => process.once('SIGTERM', resolve));
const keepAlive = setInterval(() => undefined, 60_000);

await using cleanup = new AsyncDisposableStack();
if (kind === 'group') {
  const group = cleanup.use(createChildGroup(join(home, 'run')));
  const child = group.spawn({
    name: 'sleeper',
    command: '/bin/sh',
    // A child with a child of its own, which would outlive a signal to the first alone.
    args: ['-c', 'sleep 600 & echo $!; wait'],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
    logPath: join(home, 'sleeper.log'),
  });
  console.log(JSON.stringify({ pids: [child.pid] }));
} else {
  const stack = cleanup.use(await startStack({ home, env: process.env, log: silentLog }));
  const pids = Object.values(stack.startedHere).map((child) => child.pid);
  console.log(JSON.stringify({ pids, databaseUrl: stack.databaseUrl }));
}
await stopped;
clearInterval(keepAlive);
