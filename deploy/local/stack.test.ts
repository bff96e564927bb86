import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SetupError } from '../../shared/runtime/errors.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { boundLogFile, tailLogFile } from './child-group.ts';
import { findJava, javaMajorVersion, pickJava } from './java.ts';
import { kafkaProperties } from './kafka.ts';
import { tryLock } from './lock.ts';
import { downloadedFile } from './maven.ts';
import { choosePort, isPortFree, requirePort } from './ports.ts';
import { pickPostgresUser, removeDataOfDeletedHomes } from './postgres-user.ts';
import {
  identifyProcess,
  isSameProcess,
  readRunFile,
  startTimeFromStat,
  writeRunFile,
} from './run-processes.ts';
import { serviceEnv } from './service-env.ts';
import { stackVariables, startStack } from './stack.ts';

test('the version of Java is read from old and new forms', () => {
  expect(javaMajorVersion('openjdk version "17.0.15" 2025-04-15')).toBe(17);
  expect(javaMajorVersion('java version "1.8.0_292"')).toBe(8);
  expect(javaMajorVersion('openjdk version "25" 2025-09-16')).toBe(25);
  expect(javaMajorVersion('command not found')).toBeNull();
});

test('the oldest Java that will do is picked', () => {
  expect(pickJava([{ major: 25 }, { major: 11 }, { major: 17 }, { major: 21 }])).toEqual({ major: 17 });
  expect(pickJava([{ major: 11 }, { major: 8 }])).toBeUndefined();
});

test.each([
  [
    'what the file beside it says',
    { release: 'IMPLEMENTOR="X"\nJAVA_VERSION="17.0.15"\n', program: 'exit 1' },
  ],
  ['its own answer where there is no such file', { program: `echo 'openjdk version "17.0.15"' >&2` }],
  [
    'its own answer where the file does not say',
    { release: '', program: `echo 'openjdk version "17.0.15"' >&2` },
  ],
])('a Java is known by %s', (_, { release, program }: { release?: string; program: string }) => {
  const home = temporaryDirectory();
  mkdirSync(join(home, 'bin'));
  const java = join(home, 'bin', 'java');
  writeFileSync(java, `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  if (release !== undefined) writeFileSync(join(home, 'release'), release);
  // First of those with the lowest version that will do.
  expect(findJava({ JAVA_HOME: home, PATH: '' })).toBe(realpathSync(java));
});

test("a download's progress is read from Maven's lines, and nothing else is", () => {
  const line =
    'Downloaded from central: https://repo.example/maven2/org/apache/kafka/kafka-clients/4.1.0/kafka-clients-4.1.0.jar (10 MB at 12 MB/s)';
  expect(downloadedFile(line)).toBe('kafka-clients-4.1.0.jar (10 MB)');
  expect(downloadedFile(`[INFO] ${line}`)).toBe('kafka-clients-4.1.0.jar (10 MB)');
  expect(downloadedFile('[INFO] BUILD SUCCESS')).toBeNull();
});

test("a process's start time is found after a command name with spaces and parentheses", () => {
  const fields = Array.from({ length: 50 }, (_, index) => String(index + 4));
  expect(startTimeFromStat(`12 (a) b (c)) S ${fields.join(' ')}`)).toBe('22');
  expect(startTimeFromStat(`12 (a) Z ${fields.join(' ')}`)).toBeNull();
  expect(startTimeFromStat('')).toBeNull();
});

test('a process is itself, and not another one with its PID', () => {
  const self = identifyProcess(process.pid);
  expect(self).not.toBeNull();
  expect(isSameProcess(self ?? { pid: 0, startedAt: '' })).toBe(true);
  expect(isSameProcess({ pid: process.pid, startedAt: 'another boot/1' })).toBe(false);
});

test('a run file is read as it was written, and anything else is no run file', () => {
  const path = join(temporaryDirectory(), 'run', 'a.run.json');
  const run = {
    owner: { pid: 1, startedAt: 'x' },
    children: [{ pid: 2, startedAt: 'y', name: 'kafka', stopSignal: 'SIGTERM' as const }],
  };
  writeRunFile(path, run);
  expect(readRunFile(path)).toEqual(run);
  writeFileSync(path, '{"owner":');
  expect(readRunFile(path)).toBeNull();
});

test('a lock is had by one at a time', () => {
  const path = join(temporaryDirectory(), 'lock');
  const first = tryLock(path);
  expect(first).not.toBeNull();
  expect(tryLock(path)).toBeNull();
  first?.[Symbol.dispose]();
  using second = tryLock(path);
  expect(second).not.toBeNull();
});

test('a taken default port is exchanged for a free one, a taken explicit one is an error that names it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    const chosen = await choosePort(port);
    expect(chosen).not.toBe(port);
    expect(await isPortFree(chosen, '127.0.0.1')).toBe(true);
    await expect(requirePort(port, '127.0.0.1', 'PORT')).rejects.toThrow(SetupError);
    await expect(requirePort(port, '127.0.0.1', 'PORT')).rejects.toThrow(`PORT=${port} can't be used`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a port that is chosen but not bound yet is not chosen again', async () => {
  const preferred = await choosePort(24_317);
  expect(await choosePort(preferred)).not.toBe(preferred);
});

test('a log that has grown is moved aside and starts again', () => {
  const path = join(temporaryDirectory(), 'kafka.log');
  writeFileSync(path, 'one\ntwo\nthree\n');
  expect(tailLogFile(path, 2)).toBe('two\nthree');
  boundLogFile(path, 100);
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\nthree\n');
  boundLogFile(path, 10);
  expect(readFileSync(path, 'utf8')).toBe('');
  expect(readFileSync(`${path}.1`, 'utf8')).toBe('one\ntwo\nthree\n');
});

test('root runs PostgreSQL as postgres, or as nobody when there is no such user', () => {
  const passwd =
    'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\npostgres:x:101:104::/var:/bin/bash\n';
  expect(pickPostgresUser(passwd)).toEqual({ uid: 101, gid: 104 });
  expect(pickPostgresUser(passwd.replace(/postgres.*\n/, ''))).toEqual({ uid: 65_534, gid: 65_533 });
});

test("a deleted home's data is removed where it was kept, a living one's is not", () => {
  const [base, home] = [temporaryDirectory(), temporaryDirectory()];
  for (const name of ['living', 'deleted']) {
    mkdirSync(join(base, name));
    writeFileSync(join(base, `${name}.home`), `${name === 'living' ? home : join(home, 'deleted')}\n`);
  }
  mkdirSync(join(base, 'postgres-18'));
  writeFileSync(join(home, 'postgres-directory'), `${join(base, 'living')}\n`);
  removeDataOfDeletedHomes(base);
  expect(readdirSync(base).sort()).toEqual(['living', 'living.home', 'postgres-18']);
});

test('the Kafka node listens on this machine only and replicates nothing', () => {
  const properties = kafkaProperties('/data', 9092, 9093);
  expect(properties).toContain('listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n');
  expect(properties).toContain('offsets.topic.replication.factor=1\n');
  expect(properties).toContain('log.dirs=/data\n');
});

test('a source that is given is the control store too, unless another is named, and so for every service', async () => {
  const given = {
    DATABASE_URL: 'postgres://source.example/product',
    KAFKA_BROKERS: 'kafka.example:9092',
    SCHEMA_REGISTRY_URL: 'http://registry.example',
    STORAGE_URL: 'file:///tmp/files',
  };
  const other = 'postgres://control.example/tandem';
  for (const [named, expected] of [
    [undefined, given.DATABASE_URL],
    ['', given.DATABASE_URL],
    [other, other],
  ]) {
    const env = { ...given, CONTROL_DATABASE_URL: named };
    await using stack = await startStack({ home: temporaryDirectory(), env, log: silentLog });
    const settings = serviceEnv({
      env,
      stack: stackVariables(stack),
      port: 1,
      adminKey: 'a',
      secretKey: 's',
    });
    expect(settings).toMatchObject({ CONTROL_DATABASE_URL: expected });
  }
});
