import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { json, openLocalServer } from '../test/local-server.ts';
import { ChecksumError, ForbiddenError, Tandem } from './index.ts';
import { type DownloadProgress, downloadExport } from './node.ts';

const CONTENT = randomBytes(300_000);
const FORBIDDEN = { status: 403, body: '{"code":"forbidden","detail":"The link has expired."}' };
const S3_EXPIRED = { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' };
const S3_CREDENTIALS_EXPIRED = { status: 400, body: '<Error><Code>ExpiredToken</Code></Error>' };
const MANIFEST = '{"export":"exp_1"}\n';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-download-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

interface Behaviour {
  /** Bytes after which a download breaks off, for each request of the file. */
  readonly breaks?: readonly number[];
  readonly ignoresRange?: boolean;
  readonly names?: readonly string[];
  readonly sha256?: string;
  readonly expires?: 'once' | 'always';
  /** Of an expired link: of the API's own storage, or of one that speaks as S3 does. */
  readonly expired?: { readonly status: number; readonly body: string };
}

/** A server with an export of files that all have the same content. */
async function openStorage({ breaks = [], names = ['a.jsonl'], ...behaviour }: Behaviour) {
  let downloads = 0;
  let links = 0;
  const server = await openLocalServer(({ url, headers }, response) => {
    if (url === '/exports/exp_1') {
      links += 1;
      const files = names.map((name) => ({
        name,
        resource: 'a',
        rows: 1,
        bytes: CONTENT.length,
        sha256: behaviour.sha256 ?? sha256(CONTENT),
        url: `${server.url}/storage/${name}?link=${links}`,
      }));
      json(response, 200, { id: 'exp_1', status: 'completed', files });
      return;
    }
    if (url === '/exports/exp_1/files/manifest.json') {
      response.writeHead(302, { location: '/storage/manifest.json' }).end();
      return;
    }
    if (url === '/storage/manifest.json') {
      response.writeHead(200).end(MANIFEST);
      return;
    }
    downloads += 1;
    const isExpired =
      behaviour.expires === 'always' || (behaviour.expires === 'once' && url.endsWith('link=1'));
    if (isExpired) {
      const { status, body } = behaviour.expired ?? FORBIDDEN;
      response.writeHead(status).end(body);
      return;
    }
    const start = behaviour.ignoresRange ? 0 : Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': CONTENT.length - start });
    const length = breaks[downloads - 1];
    if (length === undefined) response.end(CONTENT.subarray(start));
    else response.write(CONTENT.subarray(start, start + length), () => response.destroy());
  });
  const client = new Tandem({ baseUrl: server.url, key: 'tk_1' });
  const ranges = () =>
    server.requests.filter(({ url }) => url.startsWith('/storage/a')).map(({ headers }) => headers.range);
  return { client, ranges, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test('files are written side by side, checked, with the manifest last, and kept when they are there', async () => {
  await using storage = await openStorage({ names: ['a.jsonl', 'b.jsonl', 'c.jsonl'] });
  const seen: DownloadProgress[] = [];
  const paths = await downloadExport(storage.client, 'exp_1', folder, {
    parallel: 2,
    onProgress: (progress) => seen.push(progress),
  });
  expect(paths).toEqual(['a.jsonl', 'b.jsonl', 'c.jsonl'].map((name) => join(folder, name)));
  expect(readdirSync(folder).sort()).toEqual(['a.jsonl', 'b.jsonl', 'c.jsonl', 'manifest.json']);
  for (const path of paths) expect(readFileSync(path).equals(CONTENT)).toBe(true);
  expect(readFileSync(join(folder, 'manifest.json'), 'utf8')).toBe(MANIFEST);
  const total = 3 * CONTENT.length;
  expect(seen.at(-1)).toEqual({ bytes: total, totalBytes: total, filesDone: 3, files: 3 });
  expect(
    storage.server.requests.filter(({ url }) => url.startsWith('/storage/a'))[0]?.headers.authorization,
  ).toBe(undefined);
  const before = storage.ranges().length;
  await downloadExport(storage.client, 'exp_1', folder);
  expect(storage.ranges()).toHaveLength(before);
});

test('a download that breaks off continues where it ended, also in another process', async () => {
  await using storage = await openStorage({ breaks: [100_000, 50_000] });
  await downloadExport(storage.client, 'exp_1', folder);
  expect(readFileSync(join(folder, 'a.jsonl')).equals(CONTENT)).toBe(true);
  const [first, second, third] = storage.ranges().map((range) => Number(/\d+/.exec(range ?? '0')));
  expect(first).toBe(0);
  expect(second).toBeGreaterThan(0);
  expect(third).toBeGreaterThan(second ?? 0);
  rmSync(join(folder, 'a.jsonl'));
  writeFileSync(join(folder, 'a.jsonl.part'), CONTENT.subarray(0, 123_456));
  await downloadExport(storage.client, 'exp_1', folder);
  expect(storage.ranges().at(-1)).toBe('bytes=123456-');
  expect(readFileSync(join(folder, 'a.jsonl')).equals(CONTENT)).toBe(true);
});

test('a server that ignores ranges is read from the beginning, and what is there is passed over', async () => {
  await using storage = await openStorage({ breaks: [100_000], ignoresRange: true });
  await downloadExport(storage.client, 'exp_1', folder);
  expect(readFileSync(join(folder, 'a.jsonl')).equals(CONTENT)).toBe(true);
  expect(storage.ranges()).toHaveLength(2);
});

test('a part of something else is downloaded again, and a file that does not fit the manifest is no file', async () => {
  await using storage = await openStorage({});
  writeFileSync(join(folder, 'a.jsonl.part'), randomBytes(1_000));
  await downloadExport(storage.client, 'exp_1', folder);
  expect(readFileSync(join(folder, 'a.jsonl')).equals(CONTENT)).toBe(true);
  await using wrong = await openStorage({ sha256: sha256(Buffer.from('other')) });
  rmSync(join(folder, 'a.jsonl'));
  rmSync(join(folder, 'manifest.json'));
  await expect(downloadExport(wrong.client, 'exp_1', folder)).rejects.toThrow(ChecksumError);
  expect(readdirSync(folder)).not.toContain('a.jsonl');
  expect(readdirSync(folder)).not.toContain('manifest.json');
  const reader = await wrong.client.exports.stream('exp_1');
  await expect(new Response(reader).arrayBuffer()).rejects.toThrow(ChecksumError);
});

test.each([
  ['of the API', FORBIDDEN],
  ['of an S3 storage', S3_EXPIRED],
  ['whose credentials have expired', S3_CREDENTIALS_EXPIRED],
])('an expired link %s is replaced by a new one, once', async (_, expired) => {
  await using storage = await openStorage({ expires: 'once', expired });
  await downloadExport(storage.client, 'exp_1', folder);
  expect(readFileSync(join(folder, 'a.jsonl')).equals(CONTENT)).toBe(true);
  await using refused = await openStorage({ expires: 'always', expired });
  const failed = downloadExport(refused.client, 'exp_1', join(folder, 'refused'));
  await expect(failed).rejects.toMatchObject({ status: expired.status });
  expect(refused.ranges()).toHaveLength(2);
  await using closed = await openStorage({ expires: 'always' });
  await expect(downloadExport(closed.client, 'exp_1', join(folder, 'other'))).rejects.toThrow(ForbiddenError);
});

test('a name that leads out of the folder is refused', async () => {
  await using storage = await openStorage({ names: ['../a.jsonl'] });
  await expect(downloadExport(storage.client, 'exp_1', folder)).rejects.toThrow('is not allowed');
});

test('a stream has the bytes, and continues after a break', async () => {
  await using storage = await openStorage({ breaks: [70_000] });
  const stream = await storage.client.exports.stream('exp_1', 'a.jsonl');
  expect(Buffer.from(await new Response(stream).arrayBuffer()).equals(CONTENT)).toBe(true);
  await expect(storage.client.exports.stream('exp_1', 'b.jsonl')).rejects.toThrow(
    'Name one file of exp_1: a.jsonl.',
  );
});
