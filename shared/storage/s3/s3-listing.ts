import {
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3';

export interface Bucket {
  readonly client: S3Client;
  readonly bucket: string;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
}

export interface ListedUpload {
  readonly key: string;
  readonly uploadId: string;
}

/** Objects whose key begins with the prefix, in order of key. What consoles make to show an empty folder is left out. */
export async function* listObjects({ client, bucket }: Bucket, prefix: string): AsyncGenerator<ListedObject> {
  for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
    for (const { Key: key = '', Size: bytes = 0 } of page.Contents ?? []) {
      if (!key.endsWith('/')) yield { key, bytes };
    }
  }
}

/** Uploads below the prefix that were neither completed nor aborted. */
export async function* listUploads(bucket: Bucket, prefix: string): AsyncGenerator<ListedUpload> {
  for await (const page of uploadPages(bucket, prefix)) {
    for (const { Key: key = '', UploadId: uploadId = '' } of page.Uploads ?? []) yield { key, uploadId };
  }
}

/** Names directly below the prefix: of objects, and of folders in which there is an object or an upload. */
export async function listNamesBelow(bucket: Bucket, prefix: string): Promise<string[]> {
  const names = new Set<string>();
  const nameIn = (key = '') => key.slice(prefix.length).split('/', 1)[0] ?? '';
  const input = { Bucket: bucket.bucket, Prefix: prefix, Delimiter: '/' };
  for await (const page of paginateListObjectsV2({ client: bucket.client }, input)) {
    for (const { Key } of page.Contents ?? []) names.add(nameIn(Key));
    for (const { Prefix } of page.CommonPrefixes ?? []) names.add(nameIn(Prefix));
  }
  for await (const page of uploadPages(bucket, prefix, '/')) {
    for (const { Prefix } of page.CommonPrefixes ?? []) names.add(nameIn(Prefix));
  }
  names.delete('');
  return [...names].sort();
}

async function* uploadPages(
  { client, bucket }: Bucket,
  prefix: string,
  delimiter?: string,
): AsyncGenerator<ListMultipartUploadsCommandOutput> {
  let page: ListMultipartUploadsCommandOutput | undefined;
  do {
    page = await client.send(
      new ListMultipartUploadsCommand({
        Bucket: bucket,
        Prefix: prefix,
        Delimiter: delimiter,
        KeyMarker: page?.NextKeyMarker,
        UploadIdMarker: page?.NextUploadIdMarker,
      }),
    );
    yield page;
    // A server that says there is more and not where would be asked the same for ever.
  } while (page.IsTruncated === true && page.NextKeyMarker !== undefined);
}
