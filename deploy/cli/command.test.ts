import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { SetupError } from '../../shared/runtime/errors.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { keepSecret, keptSecret } from '../local/kept-secret.ts';
import { announceTandem, findRunningTandem } from '../local/running-tandem.ts';
import { SAMPLE_CATALOG, serviceEnv } from '../local/service-env.ts';
import {
  type Command,
  type CommandContext,
  collect,
  createProgram,
  runProgram,
  wholeNumber,
} from './command.ts';
import { completionCommand, completionScript, SHELLS } from './commands/completion.ts';
import { onStopRequest } from './stop-request.ts';

const contextOf = (): CommandContext => ({
  env: {},
  home: '/nowhere',
  say: () => undefined,
  data: () => undefined,
  note: () => undefined,
  during: (_what, step) => step(() => undefined),
  log: silentLog,
  signal: new AbortController().signal,
});

/** Runs `tandem` with a few commands that note what they were asked to do. */
async function run(...words: string[]) {
  const done: unknown[] = [];
  const output: string[] = [];
  const command = (name: string): Command => ({
    name,
    summary: `does ${name}`,
    declare: (program, perform) => {
      program
        .option('--rows <n>', 'how many', wholeNumber(0, 10), 3)
        .option('--only <name>', 'which', collect, [])
        .action((options) =>
          perform(async () => {
            if (options.rows === 0) throw new SetupError('nothing to do');
            done.push({ name, ...options });
            return 1;
          }),
        );
    },
  });
  const write = (text: unknown) => output.push(String(text)) > 0;
  vi.spyOn(process.stdout, 'write').mockImplementation(write);
  vi.spyOn(process.stderr, 'write').mockImplementation(write);
  vi.spyOn(console, 'error').mockImplementation(write);
  try {
    const commands = [command('start'), command('catalog check'), command('catalog init')];
    const exitCode = await runProgram({ commands, version: '1.2.3', createContext: contextOf }, words);
    return { done, exitCode, output: output.join('') };
  } finally {
    vi.restoreAllMocks();
  }
}

test('a command of one word or two gets its options, and its exit code is returned', async () => {
  expect(await run('start')).toMatchObject({ done: [{ name: 'start', rows: 3, only: [] }], exitCode: 1 });
  expect(await run('catalog', 'check', '--rows', '7', '--only', 'a', '--only', 'b')).toMatchObject({
    done: [{ name: 'catalog check', rows: 7, only: ['a', 'b'] }],
  });
});

test('a mistake ends with 2 and says what was meant', async () => {
  expect(await run('strat')).toMatchObject({
    exitCode: 2,
    output: expect.stringContaining('Did you mean start?'),
  });
  expect(await run('start', '--row', '1')).toMatchObject({
    exitCode: 2,
    output: expect.stringContaining('Did you mean --rows?'),
  });
  expect(await run('start', '--rows', 'many')).toMatchObject({
    exitCode: 2,
    output: expect.stringContaining('a whole number from 0 to 10'),
  });
  expect(await run('start', '--rows', '0')).toMatchObject({
    exitCode: 2,
    output: 'tandem start: nothing to do',
  });
});

test('help and version are no mistakes', async () => {
  expect(await run('--help')).toMatchObject({ exitCode: 0, output: expect.stringContaining('does start') });
  expect(await run('catalog', '--help')).toMatchObject({
    exitCode: 0,
    output: expect.stringContaining('does catalog check'),
  });
  expect(await run('--version')).toMatchObject({ exitCode: 0, output: '1.2.3\n' });
  expect(await run()).toMatchObject({ exitCode: 2, output: expect.stringContaining('does start') });
});

test('the list of commands has those of customers apart, and a command shows its examples', async () => {
  const examples = ['tandem exports create --follow'];
  const customers: Command = {
    name: 'exports create',
    summary: 'starts one',
    users: 'customers',
    examples,
    declare: () => undefined,
  };
  const program = createProgram(
    { commands: [customers, completionCommand], version: '1', createContext: contextOf },
    () => undefined,
  );
  expect(program.helpInformation()).toMatch(
    /For customers[^:]*:\n {2}exports .*\n\nFor operators:\n {2}completion/,
  );
  expect((await run('start', '--help')).output).not.toContain('Examples');
  const shown: string[] = [];
  program.commands[0]?.commands[0]?.configureOutput({ writeOut: (text) => shown.push(text) }).outputHelp();
  expect(shown.join('')).toContain(`Examples:\n  ${examples[0]}`);
});

test.each(SHELLS)('the completion of %s knows every command and option', (shell) => {
  const program = createProgram(
    { commands: [completionCommand], version: '1', createContext: contextOf },
    () => undefined,
  );
  const script = completionScript(program, shell);
  expect(script).toContain('completion --version --help');
  expect(spawnSync('bash', ['-n'], { input: shell === 'fish' ? '' : script }).status).toBe(0);
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

test('a wrong LOG_LEVEL ends a command and a service with what is wrong', () => {
  for (const program of ['./tandem.ts', '../../services/writer/main.ts']) {
    const path = fileURLToPath(new URL(program, import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [path, 'completion', 'bash'], {
      env: { LOG_LEVEL: 'loud' },
      cwd: temporaryDirectory(),
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('LOG_LEVEL must be one of debug, info, warn, error, not "loud"'),
    ]);
  }
});
