import { S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { createS3Links } from './s3-storage.ts';

const NOW_MS = 1_700_000_000_900;

function linksOf(expiration?: Date) {
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret', ...(expiration && { expiration }) };
  const client = new S3Client({
    endpoint: 'http://127.0.0.1:9',
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
  });
  return createS3Links({ client, bucket: 'bucket', keyOf: (path) => `prefix/${path}`, now: () => NOW_MS });
}

test('a link names the object, its lifetime and the name to save it under', async () => {
  const { url, expiresAt } = await linksOf().presign('exports/exp_1/invoices.jsonl', NOW_MS + 3_600_000);
  const parsed = new URL(url);
  expect(parsed.origin + parsed.pathname).toBe(
    'http://127.0.0.1:9/bucket/prefix/exports/exp_1/invoices.jsonl',
  );
  expect(parsed.searchParams.get('X-Amz-Expires')).toBe('3600');
  expect(parsed.searchParams.get('response-content-disposition')).toBe(
    'attachment; filename="invoices.jsonl"',
  );
  expect(expiresAt.getTime()).toBe(1_700_003_600_000);
});

test('a link lives from one second to seven days', async () => {
  const lifetime = async (expiresAtMs: number) =>
    new URL((await linksOf().presign('a', expiresAtMs)).url).searchParams.get('X-Amz-Expires');
  expect(await lifetime(NOW_MS - 60_000)).toBe('1');
  expect(await lifetime(NOW_MS + 30 * 86_400_000)).toBe('604800');
});

test('a link says so when the credentials end before it', async () => {
  const { url, expiresAt } = await linksOf(new Date(NOW_MS + 600_000)).presign('a', NOW_MS + 3_600_000);
  expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('600');
  expect(expiresAt.getTime()).toBe(1_700_000_600_000);
});
