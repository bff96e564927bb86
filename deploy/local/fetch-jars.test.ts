import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { downloadAll, fetchJars } from './fetch-jars.ts';
import { parseJarLock, readJarLock, toRepositoryPath } from './jar-lock.ts';
import { findCentral, findMirror, mirrorOfCentral, readRepository } from './maven.ts';

const CONTENT = Buffer.from(Array.from({ length: 40_000 }, (_, index) => index % 251));

function locked(artifact: string, content = CONTENT) {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { artifact, sha256, size: content.length, ...toRepositoryPath(artifact) };
}

const JAR = locked('org.example:one:1.0');

/** A repository on this machine; the requests it got are kept. */
async function repository(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.url} ${request.headers.range ?? 'whole'}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    requests,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/maven`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function sendFrom(response: ServerResponse, range: string | undefined): void {
  const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, {
    'content-range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}`,
  });
  response.end(CONTENT.subarray(from));
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size;

const download = (url: string, directory: string, files = [JAR], said: string[] = []) =>
  downloadAll(files, directory, { url }, (line) => said.push(line), new AbortController().signal);

test('the checked-in list names what pom.xml asks for', () => {
  const pom = readFileSync(new URL('./pom.xml', import.meta.url), 'utf8');
  const wanted = [...pom.matchAll(/<(dependency|artifactItem)>([\s\S]*?)<\/\1>/g)].map(([, , item = '']) =>
    ['groupId', 'artifactId', 'version'].map((tag) => new RegExp(`<${tag}>(.*)</`).exec(item)?.[1]).join(':'),
  );
  expect(wanted).toHaveLength(3);
  const artifacts = readJarLock().files.map(({ artifact }) => artifact.split(':').slice(0, 3).join(':'));
  expect(artifacts).toEqual(expect.arrayContaining(wanted));
});

test('an artifact has its place in a repository, with classifier and type', () => {
  expect(toRepositoryPath('io.example.app:all-in:1.2:all@tar.gz')).toEqual({
    path: 'io/example/app/all-in/1.2/all-in-1.2-all.tar.gz',
    fileName: 'all-in-1.2-all.tar.gz',
  });
  expect(() => toRepositoryPath('../etc:passwd:1')).toThrow(RangeError);
});

test('a list that is damaged is refused with what is wrong', () => {
  const file = { artifact: 'a:b:1', sha256: '0'.repeat(64), size: 1 };
  const lock = (...files: object[]) => JSON.stringify({ files });
  expect(parseJarLock(lock(file))).toMatchObject([{ path: 'a/b/1/b-1.jar', size: 1 }]);
  expect(() => parseJarLock('{')).toThrow(/npm run lock:jars/);
  expect(() => parseJarLock(lock())).toThrow(/files/);
  expect(() => parseJarLock(lock({ ...file, artifact: 'a:b' }))).toThrow(/files\.0\.artifact: is not group/);
  expect(() => parseJarLock(lock({ ...file, artifact: 'a:b:../../1' }))).toThrow(/artifact/);
  expect(() => parseJarLock(lock({ ...file, sha256: 'x' }))).toThrow(/SHA-256/);
  expect(() => parseJarLock(lock({ ...file, size: 0 }))).toThrow(/size/);
  expect(() => parseJarLock(lock(file, { ...file, artifact: 'z:b:1' }))).toThrow(
    /two files are called b-1\.jar/,
  );
});

test('files come to their place, and one that is there is not asked for', async () => {
  const directory = temporaryDirectory();
  const other = locked('org.example:two:2.0');
  await using server = await repository((request, response) => sendFrom(response, request.headers.range));
  await download(server.url, directory, [JAR, other]);
  expect(readdirSync(directory).sort()).toEqual(['one-1.0.jar', 'two-2.0.jar']);
  expect(readFileSync(join(directory, JAR.fileName))).toEqual(CONTENT);
  expect(server.requests).toContain('/maven/org/example/one/1.0/one-1.0.jar whole');
  await download(server.url, directory, [JAR, other]);
  expect(server.requests).toHaveLength(2);
});

test('a file that is not the one of the list is an error that says so, and is removed', async () => {
  const directory = temporaryDirectory();
  await using server = await repository((_, response) => response.end(CONTENT.toReversed()));
  await expect(download(server.url, directory)).rejects.toThrow(
    new RegExp(`one-1\\.0\\.jar is not the file of the list[\\s\\S]*${JAR.sha256}[\\s\\S]*127\\.0\\.0\\.1`),
  );
  expect(readdirSync(directory)).toEqual([]);
});

test('a file that never ends is broken off', async () => {
  const directory = temporaryDirectory();
  await using server = await repository((_, response) => {
    const write = (): unknown => response.destroyed || response.write(CONTENT, () => setImmediate(write));
    write();
  });
  await expect(download(server.url, directory)).rejects.toThrow(/is not the file of the list/);
  expect(readdirSync(directory)).toEqual([]);
});

test('a broken connection is gone on from where it broke', async () => {
  const directory = temporaryDirectory();
  const part = join(directory, `${JAR.fileName}.part`);
  let broken = false;
  await using server = await repository((request, response) => {
    if (broken) return sendFrom(response, request.headers.range);
    broken = true;
    response.writeHead(200, { 'content-length': CONTENT.length });
    response.write(CONTENT.subarray(0, 10_000));
    waitFor('the first bytes', () => sizeOf(part) === 10_000).then(() => response.destroy());
  });
  await download(server.url, directory);
  expect(readFileSync(join(directory, JAR.fileName))).toEqual(CONTENT);
  expect(server.requests.map((line) => line.split(' ')[1])).toEqual(['whole', 'bytes=10000-']);
});

test('what a process that died left is gone on from, also by a repository without ranges', async () => {
  for (const knowsRanges of [true, false]) {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, `${JAR.fileName}.part`), CONTENT.subarray(0, 1_234));
    await using server = await repository((request, response) =>
      knowsRanges ? sendFrom(response, request.headers.range) : response.end(CONTENT),
    );
    await download(server.url, directory);
    expect(server.requests).toEqual(['/maven/org/example/one/1.0/one-1.0.jar bytes=1234-']);
    expect(readFileSync(join(directory, JAR.fileName))).toEqual(CONTENT);
    expect(existsSync(join(directory, `${JAR.fileName}.part`))).toBe(false);
  }
});

test('what is there is kept while the repository is unavailable, and begun again when it has no such range', async () => {
  for (const [status, wanted] of [
    [503, 'bytes=1234-'],
    [416, 'whole'],
  ] as const) {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, `${JAR.fileName}.part`), CONTENT.subarray(0, 1_234));
    let refused = false;
    await using server = await repository((request, response) => {
      if (refused) return sendFrom(response, request.headers.range);
      refused = true;
      response.writeHead(status).end();
    });
    await download(server.url, directory);
    expect(server.requests.map((line) => line.split(' ')[1])).toEqual(['bytes=1234-', wanted]);
    expect(readFileSync(join(directory, JAR.fileName))).toEqual(CONTENT);
  }
});

test('a missing file and a wanted login are told at once, a redirect is followed', async () => {
  for (const [status, text] of [
    [404, /returned 404 for org\/example\/one.*no such file/],
    [401, /TANDEM_MAVEN_REPOSITORY/],
  ] as const) {
    await using server = await repository((_, response) => response.writeHead(status).end());
    await expect(download(server.url, temporaryDirectory())).rejects.toThrow(text);
    expect(server.requests).toHaveLength(1);
  }
  const directory = temporaryDirectory();
  await using server = await repository((request, response) => {
    if (request.url?.startsWith('/elsewhere')) return sendFrom(response, undefined);
    response.writeHead(302, { location: '/elsewhere/one' }).end();
  });
  await download(server.url, directory);
  expect(existsSync(join(directory, JAR.fileName))).toBe(true);
});

test('the setting names the repository; its login is sent beside the address', () => {
  const read = (TANDEM_MAVEN_REPOSITORY: string) => readRepository({ TANDEM_MAVEN_REPOSITORY });
  expect(read(' ')).toBeUndefined();
  expect(read('https://mirror.example/maven/')).toEqual({ url: 'https://mirror.example/maven' });
  expect(read('https://me:p%40ss@mirror.example/maven')).toEqual({
    url: 'https://mirror.example/maven',
    authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
  });
  expect(() => read('mirror.example')).toThrow(/TANDEM_MAVEN_REPOSITORY must be/);
  expect(() => read('ftp://mirror.example')).toThrow(/TANDEM_MAVEN_REPOSITORY must be/);
});

test("the mirror of Maven Central is read from Maven's settings as Maven reads it", () => {
  const mirror = (of: string, url: string, more = '') =>
    `<mirror><id>m</id><mirrorOf>${of}</mirrorOf><url> ${url} </url>${more}</mirror>`;
  const settings = (...mirrors: string[]) => `<settings><mirrors>${mirrors.join('')}</mirrors></settings>`;
  const url = 'https://mirror.example/m?a=1&amp;b=2';
  for (const of of ['central', '*', 'external:*', 'other, central', '*,!internal']) {
    expect(mirrorOfCentral(settings(mirror(of, url)))).toBe('https://mirror.example/m?a=1&b=2');
  }
  for (const of of ['other', '*,!central', 'external:http:*', '']) {
    expect(mirrorOfCentral(settings(mirror(of, url)))).toBeUndefined();
  }
  expect(mirrorOfCentral(settings(mirror('*', url, '<blocked>true</blocked>')))).toBeUndefined();
  expect(mirrorOfCentral(settings(`<!-- ${mirror('*', 'https://example/no')} -->`))).toBeUndefined();
  expect(
    mirrorOfCentral(settings(mirror('x', 'https://no.example'), mirror('central', 'https://yes.example'))),
  ).toBe('https://yes.example');
  const home = temporaryDirectory();
  expect(findMirror({ HOME: home })).toBeUndefined();
  mkdirSync(join(home, '.m2'));
  writeFileSync(join(home, '.m2', 'settings.xml'), settings(mirror('*', 'https://mirror.example/m/')));
  expect(findMirror({ HOME: home })).toEqual({ url: 'https://mirror.example/m' });
});

test('Maven Central is reached by https, and a path is put behind its address', async () => {
  const { url, authorization } = await findCentral();
  expect(url).toMatch(/^https:\/\/[a-z0-9.-]+\/[a-z0-9]+$/);
  expect(authorization).toBeUndefined();
});

test('Maven that is stopped ends with the reason why', async () => {
  const home = temporaryDirectory();
  const line = 'Downloaded from central: http://127.0.0.1/one.jar (1 MB at 2 MB/s)';
  writeFileSync(join(home, 'mvn'), `#!/bin/sh\necho '${line}'\nexec sleep 60\n`, { mode: 0o755 });
  const stop = new AbortController();
  const reason = new Error('it took too long');
  const env = { PATH: `${home}:/usr/bin:/bin`, HOME: home, XDG_CACHE_HOME: home };
  const say = (said: string) => said.includes('one.jar') && stop.abort(reason);
  await expect(fetchJars(env, say, stop.signal)).rejects.toBe(reason);
});

test('what Maven brings is held to the list too, and a repository that is named goes before Maven', async () => {
  const home = temporaryDirectory();
  const first = readJarLock().files[0]?.fileName;
  // Stands for Maven: it writes one file of the list, with other bytes.
  const maven = (file: string) =>
    `#!/bin/sh\nfor a; do case $a in -DoutputDirectory=*) echo changed > "\${a#*=}/${file}";; esac; done\n`;
  const env = { PATH: `${home}:/usr/bin:/bin`, HOME: home, XDG_CACHE_HOME: home };
  const fetch = (more = {}) => fetchJars({ ...env, ...more }, () => undefined);
  writeFileSync(join(home, 'mvn'), maven(`${first}`), { mode: 0o755 });
  await expect(fetch()).rejects.toThrow(/is not the file of the list[\s\S]*from Maven/);
  writeFileSync(join(home, 'mvn'), maven('another.jar'), { mode: 0o755 });
  await expect(fetch()).rejects.toThrow(`Maven brought no ${first}`);
  await using server = await repository((_, response) => response.writeHead(404).end());
  await expect(fetch({ TANDEM_MAVEN_REPOSITORY: server.url })).rejects.toThrow(/returned 404/);
});
