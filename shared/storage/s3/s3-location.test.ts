import { expect, test } from 'vitest';
import { parseS3Location } from './s3-location.ts';

test('a bucket of Amazon’s needs nothing else', () => {
  expect(parseS3Location('s3://bucket')).toEqual({
    bucket: 'bucket',
    prefix: '',
    endpoint: undefined,
    region: undefined,
    publicEndpoint: undefined,
  });
});

test('a prefix ends in a slash, however it was given', () => {
  expect(parseS3Location('s3://bucket/').prefix).toBe('');
  expect(parseS3Location('s3://bucket/a/b').prefix).toBe('a/b/');
  expect(parseS3Location('s3://bucket/a/b/?region=eu-central-1').prefix).toBe('a/b/');
});

test('a server of one’s own needs no region, and may have another address outside', () => {
  const url = 's3://bucket?endpoint=http://10.0.0.1:9000&public_endpoint=https%3A%2F%2Ffiles.example.com';
  expect(parseS3Location(url)).toMatchObject({
    endpoint: 'http://10.0.0.1:9000',
    region: 'us-east-1',
    publicEndpoint: 'https://files.example.com',
  });
  expect(parseS3Location('s3://bucket?endpoint=http://x:1&region=garage').region).toBe('garage');
});

test.each([
  ['file:///tmp', 'it must begin with s3://'],
  ['s3://key:secret@bucket', 'it must not hold keys'],
  ['s3://Bucket', 'the name of a bucket'],
  ['s3://bucket:9000', 'the name of a bucket'],
  ['s3:///prefix', 'the name of a bucket'],
  ['s3://bucket/a//b', 'the prefix must be'],
  ['s3://bucket/.hidden', 'the prefix must be'],
  [`s3://bucket/${'x'.repeat(101)}`, 'the prefix must be'],
  ['s3://bucket?endpont=http://x', 'no "endpont"'],
  ['s3://bucket?endpoint=http://x&endpoint=http://y', 'endpoint twice'],
  ['s3://bucket?endpoint=x:9000', 'endpoint must be an http or https URL'],
  ['s3://bucket?endpoint=http://key:secret@x', 'endpoint must be an http or https URL'],
  ['s3://bucket?endpoint=http://x/path', 'endpoint must be an http or https URL'],
  ['s3://bucket?region=Frankfurt!', 'region must be a name'],
  ['s3://bucket?public_endpoint=http://x', 'needs one'],
])('%s is refused, with the reason', (url, reason) => {
  expect(() => parseS3Location(url)).toThrow(reason);
});
