import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { type Command, findCommand, showCommand, showCommands } from './command.ts';
import { keepSecret, keptSecret } from './kept-secret.ts';
import { announceTandem, findRunningTandem } from './running-tandem.ts';
import { SAMPLE_CATALOG, serviceEnv } from './service-env.ts';
import { onStopRequest } from './stop-request.ts';

const command = (name: string): Command => ({ name, summary: `does ${name}`, help: '', run: async () => 0 });
const COMMANDS = [command('start'), command('catalog check'), command('catalog')];

test('the longest name that the words begin with is the command, the rest are its arguments', () => {
  expect(findCommand(COMMANDS, ['catalog', 'check', 'file.yaml'])).toEqual({
    command: COMMANDS[1],
    args: ['file.yaml'],
  });
  expect(findCommand(COMMANDS, ['catalog', 'x'])).toEqual({ command: COMMANDS[2], args: ['x'] });
  expect(findCommand(COMMANDS, ['start'])).toEqual({ command: COMMANDS[0], args: [] });
  expect(findCommand(COMMANDS, ['stop'])).toBeUndefined();
  expect(findCommand(COMMANDS, [])).toBeUndefined();
});

test('the help lists every command with what it does', () => {
  expect(showCommands(COMMANDS)).toContain('  catalog check  does catalog check\n');
  expect(showCommand(command('start'))).toBe('tandem start: does start');
});

test('what the operator has set wins over the defaults, and an empty variable counts as not set', () => {
  const settings = serviceEnv({
    env: { TOPIC_PREFIX: 'shop', ADMIN_KEY: 'mine', CATALOG: '', DATABASE_URL: '' },
    stack: { DATABASE_URL: 'postgres://local' },
    port: 8099,
    adminKey: 'made',
    secretKey: 'made too',
  });
  expect(settings).toMatchObject({
    TOPIC_PREFIX: 'shop',
    ADMIN_KEY: 'mine',
    SECRET_KEY: 'made too',
    CATALOG: SAMPLE_CATALOG,
    DATABASE_URL: 'postgres://local',
    PORT: '8099',
    PUBLIC_URL: 'http://127.0.0.1:8099',
  });
});

test('links lead to the loopback address when the api listens on every address', () => {
  const at = (HOST: string) =>
    serviceEnv({ env: { HOST }, stack: {}, port: 80, adminKey: 'a', secretKey: 's' }).PUBLIC_URL;
  expect(at('0.0.0.0')).toBe('http://127.0.0.1:80');
  expect(at('::1')).toBe('http://[::1]:80');
});

test('a secret is made once, and only its owner may read it', () => {
  const path = join(temporaryDirectory(), 'keys', 'admin-key');
  const first = keptSecret(path, 'tk_');
  expect(first).toMatch(/^tk_[0-9a-f]{48}$/);
  expect(keptSecret(path, 'tk_')).toBe(first);
  expect(statSync(path).mode & 0o077).toBe(0);
  keepSecret(path, 'another');
  expect(keptSecret(path)).toBe('another');
});

test('a running Tandem is found until it stops, and one whose process is gone is not', () => {
  const home = temporaryDirectory();
  const running = { apiUrl: 'http://127.0.0.1:1', adminKey: 'k', parts: { DATABASE_URL: 'postgres://x' } };
  expect(findRunningTandem(home)).toBeNull();
  const announced = announceTandem(home, running);
  expect(findRunningTandem(home)).toEqual(running);
  announced[Symbol.dispose]();
  expect(findRunningTandem(home)).toBeNull();
  writeFileSync(
    join(home, 'running.json'),
    JSON.stringify({ owner: { pid: 1, startedAt: 'gone' }, ...running }),
  );
  expect(findRunningTandem(home)).toBeNull();
});

test('a request to stop aborts the signal', () => {
  const before = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((name) => process.listeners(name as NodeJS.Signals));
  const signal = onStopRequest({});
  try {
    expect(signal.aborted).toBe(false);
    process.emit('SIGHUP');
    expect(signal.aborted).toBe(true);
  } finally {
    for (const [index, name] of (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).entries()) {
      for (const listener of process.listeners(name)) {
        if (!before[index]?.includes(listener)) process.removeListener(name, listener);
      }
    }
  }
});
