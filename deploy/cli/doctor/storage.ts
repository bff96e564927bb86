import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { Secret } from '../../../shared/runtime/env.ts';
import { openStorage } from '../../../shared/storage/open-storage.ts';
import { type Area, type Found, failure, ok } from './area.ts';

const LINK_MS = 60_000;

/** Writes, reads and deletes one small file of its own. */
export async function examineStorage(area: Area, { url }: { readonly url: Secret }): Promise<void> {
  const rights =
    'give the services the rights in deploy/README.md, "Files in S3", or write access to the directory';
  const storage = await area.attempt(
    'open',
    'correct STORAGE_URL: bucket, region, endpoint, credentials; or the directory and its rights',
    () => openStorage(url),
    () => ok('a file can be created'),
  );
  if (storage === undefined) return;
  const path = `doctor/probe-${randomBytes(6).toString('hex')}`;
  const content = randomBytes(1_000).toString('base64');
  const written = await area.attempt(
    'write',
    rights,
    async () => {
      const writer = await storage.openWriter(path);
      try {
        await writer.append(content);
        await writer.commit();
      } finally {
        await writer.abort();
      }
      return true;
    },
    () => ok(`${content.length} bytes are on stable storage`),
  );
  if (written === undefined) return;
  await area.attempt(
    'read',
    rights,
    async () => (await buffer(await storage.openRead(path))).toString(),
    (read): Found =>
      compare(
        read,
        content,
        'the file has other content than was written',
        'check the server of the storage',
      ),
  );
  const { links } = storage;
  if (links === undefined) area.add('link', ok('downloads pass through the API'));
  else {
    await area.attempt(
      'link',
      'let customers reach the address of the link: public_endpoint in STORAGE_URL, firewall, bucket policy',
      async () => {
        const link = await links.presign(path, Date.now() + LINK_MS);
        const response = await fetch(link.url, { signal: AbortSignal.timeout(area.limitMs) });
        return { host: new URL(link.url).host, status: response.status, body: await response.text() };
      },
      ({ host, status, body }): Found => {
        if (status !== 200) {
          const advice =
            'check the credentials, the region and this machine’s clock: S3 refuses a signature with another time';
          return failure(`${host} returned status ${status} to a presigned link`, advice);
        }
        return compare(
          body,
          content,
          `${host} returned another file`,
          'check public_endpoint in STORAGE_URL',
        );
      },
    );
  }
  await area.attempt(
    'delete',
    rights,
    async () => {
      await storage.delete(path);
      return storage.stat(path);
    },
    (left): Found =>
      left === undefined ? ok('the file is gone') : failure('the file is still there', rights),
  );
}

function compare(read: string, content: string, problem: string, fix: string): Found {
  return read === content ? ok(`${content.length} bytes as written`) : failure(problem, fix);
}
