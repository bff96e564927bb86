import { createHash, randomBytes } from 'node:crypto';
import { buffer, text } from 'node:stream/consumers';
import {
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Area } from '../../../deploy/cli/doctor/area.ts';
import { examineStorage } from '../../../deploy/cli/doctor/storage.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { openStorage } from '../../../shared/storage/open-storage.ts';
import { createS3Links } from '../../../shared/storage/s3/s3-storage.ts';
import { type Storage, StorageNotFoundError } from '../../../shared/storage/storage.ts';
import { describeStorage } from '../../contract/describe-storage.ts';
import { openS3Proxy } from '../../support/s3-proxy.ts';
import { BUILD_LIMIT_MS, hasVersitygw, startVersitygw, type Versitygw } from '../../support/versitygw.ts';
import { waitFor } from '../../support/wait-for.ts';

const MEBIBYTE = 1024 * 1024;

describe.skipIf(!hasVersitygw())('on a real server', () => {
  let gateway: Versitygw;
  let bucket: string;

  beforeAll(async () => {
    gateway = await startVersitygw();
    bucket = await gateway.createBucket();
    for (const [name, value] of Object.entries(gateway.credentials)) vi.stubEnv(name, value);
  }, BUILD_LIMIT_MS);
  afterAll(async () => {
    vi.unstubAllEnvs();
    await gateway?.[Symbol.asyncDispose]();
  });

  /** Storage under a prefix that no other test has, and that prefix. */
  async function open(endpoint = gateway.endpoint): Promise<{ storage: Storage; prefix: string }> {
    const prefix = randomBytes(6).toString('hex');
    return { storage: await openStorage(`s3://${bucket}/${prefix}?endpoint=${endpoint}`), prefix };
  }

  test('tandem doctor writes, reads, links and deletes a file, and reports a link that leads elsewhere', async () => {
    const prefix = randomBytes(6).toString('hex');
    const examine = async (query: string) => {
      const area = new Area('storage', 10_000, new AbortController().signal);
      await examineStorage(area, {
        url: new Secret(`s3://${bucket}/${prefix}?endpoint=${gateway.endpoint}${query}`),
      });
      return area.findings.map(({ what, status }) => `${what} ${status}`);
    };
    expect(await examine('')).toEqual(['open ok', 'write ok', 'read ok', 'link ok', 'delete ok']);
    const elsewhere = await examine('&public_endpoint=http://127.0.0.1:1');
    expect(elsewhere).toEqual(['open ok', 'write ok', 'read ok', 'link failure', 'delete ok']);
    expect(await kept(prefix)).toEqual({ objects: [], uploads: [] });
  });

  /** Everything the server keeps below a prefix: keys of objects, and of uploads that are not complete. */
  async function kept(prefix: string): Promise<{ objects: unknown[]; uploads: unknown[] }> {
    const input = { Bucket: bucket, Prefix: prefix };
    const { Contents = [] } = await gateway.client.send(new ListObjectsV2Command(input));
    const { Uploads = [] } = await gateway.client.send(new ListMultipartUploadsCommand(input));
    return { objects: Contents.map(({ Key }) => Key), uploads: Uploads.map(({ Key }) => Key) };
  }

  /** Parts that have arrived of the one upload of this key. */
  async function partCount(key: string): Promise<number> {
    const { Uploads = [] } = await gateway.client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }),
    );
    const [upload] = Uploads;
    const { Parts = [] } = await gateway.client.send(
      new ListPartsCommand({ Bucket: bucket, Key: key, UploadId: upload?.UploadId }),
    );
    return Parts.length;
  }

  async function write(storage: Storage, path: string, content: Buffer): Promise<void> {
    const writer = await storage.openWriter(path);
    // Pieces that fit no part's size.
    for (let at = 0; at < content.length; at += 1_000_003) {
      await writer.append(content.subarray(at, at + 1_000_003));
    }
    expect(writer.bytes).toBe(content.length);
    await writer.commit();
  }

  async function link(storage: Storage, path: string): Promise<string> {
    const presigned = await storage.links?.presign(path, Date.now() + 3_600_000);
    expect(presigned?.expiresAt.getTime()).toBeGreaterThan(Date.now() + 3_590_000);
    return presigned?.url ?? '';
  }

  async function statusOf(url: string): Promise<number> {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.status;
  }

  describeStorage('S3 storage', async () => {
    const { storage } = await open();
    return { storage, close: async () => undefined };
  });

  test('a file of 20 MiB goes out in parts and comes back whole', async () => {
    const { storage, prefix } = await open();
    const content = randomBytes(20 * MEBIBYTE);
    await write(storage, 'a/large.jsonl', content);
    const head = await gateway.client.send(
      new HeadObjectCommand({ Bucket: bucket, Key: `${prefix}/a/large.jsonl`, ChecksumMode: 'ENABLED' }),
    );
    expect(head).toMatchObject({ ContentLength: content.length, ContentType: 'application/jsonl' });
    expect(head.ETag).toMatch(/-3"$/);
    expect(head.ChecksumSHA256).toMatch(/-3$/);
    expect(sha256(await buffer(await storage.openRead('a/large.jsonl')))).toBe(sha256(content));
    const range = { start: 8 * MEBIBYTE - 2, end: 8 * MEBIBYTE + 1 };
    expect(await buffer(await storage.openRead('a/large.jsonl', range))).toEqual(
      content.subarray(range.start, range.end + 1),
    );
    expect(await kept(prefix)).toEqual({ objects: [`${prefix}/a/large.jsonl`], uploads: [] });
  });

  test('a file of exactly one part, and one with a byte more, are whole', async () => {
    const { storage } = await open();
    for (const bytes of [8 * MEBIBYTE, 8 * MEBIBYTE + 1, 16 * MEBIBYTE]) {
      const content = randomBytes(bytes);
      await write(storage, 'file', content);
      expect(sha256(await buffer(await storage.openRead('file')))).toBe(sha256(content));
    }
  });

  test('an aborted file leaves neither an object nor an upload', async () => {
    const { storage, prefix } = await open();
    const writer = await storage.openWriter('a/file');
    await writer.append(randomBytes(17 * MEBIBYTE));
    expect((await kept(prefix)).uploads).toEqual([`${prefix}/a/file`]);
    await writer.abort();
    expect(await kept(prefix)).toEqual({ objects: [], uploads: [] });
    await writer.abort();
  });

  test('what a killed writer left is found by its folder, and goes with it', async () => {
    const { storage, prefix } = await open();
    const killed = await storage.openWriter('parts/exp_1/file');
    await killed.append(randomBytes(9 * MEBIBYTE));
    // The dead have nothing on its way.
    await waitFor('the part to arrive', async () => (await partCount(`${prefix}/parts/exp_1/file`)) === 1);
    expect(await storage.listNames('parts')).toEqual(['exp_1']);
    expect(await storage.listNames('parts/exp_1')).toEqual([]);
    await storage.deleteFolder('parts/exp_1');
    expect(await kept(prefix)).toEqual({ objects: [], uploads: [] });
    expect(await storage.listNames('parts')).toEqual([]);
    await expect(killed.commit()).rejects.toThrow(StorageNotFoundError);
    await killed.abort();
  });

  test('a folder that is deleted under a writer is empty once that gives up, even with a part on its way', async () => {
    const { storage, prefix } = await open();
    const writer = await storage.openWriter('a/file');
    await writer.append(randomBytes(17 * MEBIBYTE));
    await storage.deleteFolder('a');
    await writer.abort();
    expect(await kept(prefix)).toEqual({ objects: [], uploads: [] });
  });

  test('a large file that is deleted while it is read is read to its end', async () => {
    const { storage } = await open();
    const content = randomBytes(20 * MEBIBYTE);
    await write(storage, 'file', content);
    const reader = await storage.openRead('file');
    await storage.delete('file');
    expect(sha256(await buffer(reader))).toBe(sha256(content));
  });

  test('a folder of more files than one answer lists is listed and deleted whole', async () => {
    const { storage, prefix } = await open();
    const names = Array.from({ length: 1_005 }, (_, index) => `file-${String(index).padStart(4, '0')}`);
    for (let at = 0; at < names.length; at += 50) {
      await Promise.all(
        names.slice(at, at + 50).map(async (name) => (await storage.openWriter(`a/${name}`)).commit()),
      );
    }
    const listed: string[] = [];
    for await (const { path } of storage.list('a')) listed.push(path);
    expect(listed).toEqual(names.map((name) => `a/${name}`));
    expect(await storage.listNames('a')).toEqual(names);
    await storage.deleteFolder('a');
    expect((await kept(prefix)).objects).toEqual([]);
  });

  test('a range that begins at the end of a file is empty', async () => {
    const { storage } = await open();
    await write(storage, 'file', Buffer.from('abc'));
    expect(await text(await storage.openRead('file', { start: 3 }))).toBe('');
  });

  test('a link gives the file to whoever has it, whole or in part, under its name', async () => {
    const { storage } = await open();
    await write(storage, 'exports/exp_1/invoices.jsonl', Buffer.from('{"id":1}\n'));
    const url = await link(storage, 'exports/exp_1/invoices.jsonl');
    const whole = await fetch(url);
    expect([whole.status, await whole.text()]).toEqual([200, '{"id":1}\n']);
    expect(whole.headers.get('content-type')).toBe('application/jsonl');
    expect(whole.headers.get('content-disposition')).toBe('attachment; filename="invoices.jsonl"');
    const part = await fetch(url, { headers: { range: 'bytes=2-4' } });
    expect([part.status, await part.text()]).toEqual([206, 'id"']);
    expect(part.headers.get('content-range')).toBe('bytes 2-4/9');
    expect(await statusOf(url.split('?')[0] ?? '')).toBe(403);
    await storage.deleteFolder('exports/exp_1');
    expect(await statusOf(url)).toBe(404);
  });

  test('an expired link is refused', async () => {
    const { storage, prefix } = await open();
    await write(storage, 'file', Buffer.from('abc'));
    const anHourAgoMs = Date.now() - 3_600_000;
    const { client } = gateway;
    const links = createS3Links({
      client,
      bucket,
      keyOf: (path) => `${prefix}/${path}`,
      now: () => anHourAgoMs,
    });
    expect(await statusOf((await links.presign('file', anHourAgoMs + 3_660_000)).url)).toBe(200);
    expect(await statusOf((await links.presign('file', anHourAgoMs + 3_540_000)).url)).toBe(403);
  });

  test('a link with one changed byte is refused', async () => {
    const { storage } = await open();
    await write(storage, 'file', Buffer.from('abc'));
    const url = await link(storage, 'file');
    const accepted: string[] = [];
    for (let at = gateway.endpoint.length + 1; at < url.length; at += 1) {
      const changed = url.slice(0, at) + (url[at] === 'A' ? 'B' : 'A') + url.slice(at + 1);
      if ((await statusOf(changed)) < 400) accepted.push(changed);
    }
    expect(accepted).toEqual([]);
  });

  test('a link is made for the address that customers reach', async () => {
    await using proxy = await openS3Proxy(gateway.endpoint);
    const url = `s3://${bucket}/outside?endpoint=${gateway.endpoint}&public_endpoint=${proxy.endpoint}`;
    const storage = await openStorage(url);
    await write(storage, 'file', Buffer.from('abc'));
    const outside = await link(storage, 'file');
    expect(new URL(outside).origin).toBe(proxy.endpoint);
    expect(await statusOf(outside)).toBe(200);
  });

  test('requests that a busy server refuses are tried again', async () => {
    await using proxy = await openS3Proxy(gateway.endpoint);
    const { storage } = await open(proxy.endpoint);
    const content = randomBytes(9 * MEBIBYTE);
    const seen = new Set<string>();
    proxy.fateOf = (method, url) => {
      const known = seen.has(`${method} ${url}`);
      seen.add(`${method} ${url}`);
      return known ? 'pass' : 'SlowDown';
    };
    await write(storage, 'file', content);
    expect(sha256(await buffer(await storage.openRead('file')))).toBe(sha256(content));
  });

  test('a commit whose answer was lost is a commit', async () => {
    await using proxy = await openS3Proxy(gateway.endpoint);
    const { storage, prefix } = await open(proxy.endpoint);
    let completeCount = 0;
    proxy.fateOf = (method, url) => {
      if (method !== 'POST' || !url.includes('uploadId=')) return 'pass';
      completeCount += 1;
      // Some servers know nothing of an upload once it is complete, and say so to the client that asks again.
      return completeCount === 1 ? 'lose answer' : 'NoSuchUpload';
    };
    const content = randomBytes(9 * MEBIBYTE);
    await write(storage, 'file', content);
    expect(completeCount).toBe(2);
    expect(sha256(await buffer(await storage.openRead('file')))).toBe(sha256(content));
    expect((await kept(prefix)).uploads).toEqual([]);
  });

  test('a commit of an upload that is gone is none, whatever else is at its place', async () => {
    await using proxy = await openS3Proxy(gateway.endpoint);
    const { storage } = await open(proxy.endpoint);
    proxy.fateOf = (method, url) =>
      method === 'POST' && url.includes('uploadId=') ? 'NoSuchUpload' : 'pass';
    const writer = await storage.openWriter('file');
    await writer.append(randomBytes(9 * MEBIBYTE));
    await expect(writer.commit()).rejects.toThrow(StorageNotFoundError);
    await writer.abort();
    await write(storage, 'file', Buffer.from('another'));
    const second = await storage.openWriter('file');
    await second.append(randomBytes(9 * MEBIBYTE));
    await expect(second.commit()).rejects.toThrow(StorageNotFoundError);
    await second.abort();
  });

  test('a part that can not be sent fails the file, and nothing of it stays', async () => {
    await using proxy = await openS3Proxy(gateway.endpoint);
    const { storage, prefix } = await open(proxy.endpoint);
    proxy.fateOf = (_method, url) => (url.includes('partNumber=2') ? 'SlowDown' : 'pass');
    const writer = await storage.openWriter('file');
    await writer.append(randomBytes(17 * MEBIBYTE));
    await expect(writer.commit()).rejects.toThrow('writing file in S3');
    await writer.abort();
    expect(await kept(prefix)).toEqual({ objects: [], uploads: [] });
  });

  test('a bucket that is not there is a set-up error', async () => {
    const opening = openStorage(`s3://no-such-bucket?endpoint=${gateway.endpoint}`);
    await expect(opening).rejects.toThrow(SetupError);
    await expect(opening).rejects.toThrow('there is no bucket no-such-bucket');
  });

  test('credentials that are refused are a set-up error', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another');
    onTestFinished(() => void vi.stubEnv('AWS_SECRET_ACCESS_KEY', gateway.credentials.AWS_SECRET_ACCESS_KEY));
    const opening = openStorage(`s3://${bucket}?endpoint=${gateway.endpoint}`);
    await expect(opening).rejects.toThrow(SetupError);
    await expect(opening).rejects.toThrow('the credentials are refused');
  });
});

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
