import { ApiError, ChecksumError, ConnectionError, TandemError } from './errors.ts';
import { retryDelayMs, sleep } from './retry.ts';
import type { Transport } from './transport.ts';

/** A file of an export, as far as a download needs it. */
export interface RemoteFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Presigned. */
  readonly url: string;
}

export interface ReadOptions {
  /** Bytes to pass over at the beginning. */
  readonly offset?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reconnections without a single byte in between. */
const MAX_FAILURES = 8;

/** A connection that has sent nothing for this long is given up, and the rest is requested again. */
const IDLE_LIMIT_MS = 30_000;

/**
 * The bytes of a file. A connection that breaks off is continued from where it ended, and a link that has expired is
 * replaced by a new one. The checksum is the caller's: see `verified`.
 *
 * @param renew reads the export again, for a new link
 * @throws ApiError, ConnectionError; ChecksumError when the server has more bytes than the manifest says
 */
export async function* readFile(
  transport: Transport,
  file: RemoteFile,
  renew: () => Promise<RemoteFile>,
  { offset = 0, signal }: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let { url } = file;
  let at = offset;
  let failures = 0;
  let isRenewed = false;
  while (at < file.bytes) {
    const before = at;
    try {
      for await (const chunk of readFrom(transport, url, at, signal)) {
        at += chunk.length;
        if (at > file.bytes) throw new ChecksumError(`${file.name} has more than ${file.bytes} bytes.`);
        yield chunk;
      }
      if (at < file.bytes)
        throw new ConnectionError(`${file.name} ended after ${at} of ${file.bytes} bytes.`);
    } catch (error) {
      signal?.throwIfAborted();
      if (at > before) {
        failures = 0;
        isRenewed = false;
      }
      if (isExpired(error) && !isRenewed) {
        isRenewed = true;
        ({ url } = await renew());
        continue;
      }
      failures += 1;
      if (!(error instanceof ConnectionError) || failures > MAX_FAILURES) throw error;
      await sleep(retryDelayMs(failures, undefined), signal);
    }
  }
}

/** By the status: an object storage responds in XML, with 400 when the credentials that signed the link have expired. */
function isExpired(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 403 || error.status === 400);
}

async function* readFrom(
  transport: Transport,
  url: string,
  at: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  // The length and the checksum are those of the bytes as they are stored.
  const headers = { 'accept-encoding': 'identity', ...(at === 0 ? {} : { range: `bytes=${at}-` }) };
  const response = await transport.open(
    { method: 'GET', url, headers, isRepeatable: true, followsRedirects: true },
    { signal },
  );
  // A server that ignores the range sends everything.
  let skip = response.status === 206 ? 0 : at;
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await nextChunk(reader);
      if (done) return;
      const rest = value.subarray(Math.min(skip, value.length));
      skip -= value.length - rest.length;
      if (rest.length > 0) yield rest;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    const tooLong = new ConnectionError(`The download sent nothing for ${IDLE_LIMIT_MS} ms.`);
    timer = setTimeout(() => reject(tooLong), IDLE_LIMIT_MS);
  });
  try {
    return await Promise.race([reader.read(), idle]);
  } catch (cause) {
    if (cause instanceof TandemError) throw cause;
    throw new ConnectionError('The download broke off.', { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Hashes bytes: Node's `createHash('sha256')`. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  digest(encoding: 'hex'): string;
}

/** A hasher where the runtime has one that takes a stream: Node and Bun. Browsers have none. */
export function createHasher(): Hasher | undefined {
  type Host = { getBuiltinModule?: (name: string) => { createHash(name: string): Hasher } | undefined };
  const { process: host } = globalThis as { process?: Host };
  return host?.getBuiltinModule?.('node:crypto')?.createHash('sha256');
}

/** The same bytes. @throws ChecksumError at their end, when their SHA-256 is not that of the manifest */
export async function* verified(
  file: RemoteFile,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hasher = createHasher();
  for await (const chunk of bytes) {
    hasher?.update(chunk);
    yield chunk;
  }
  requireChecksum(file, hasher?.digest('hex'));
}

/** @throws ChecksumError */
export function requireChecksum(file: RemoteFile, sha256: string | undefined): void {
  if (sha256 === undefined || sha256 === file.sha256) return;
  throw new ChecksumError(`${file.name} has the SHA-256 ${sha256}, and the manifest has ${file.sha256}.`);
}

/** The lines of UTF-8 text, without their line feeds. Only a line feed ends a line. */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}

/** A web stream of an iterator's bytes. */
export function toStream(bytes: AsyncGenerator<Uint8Array, void, undefined>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await bytes.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await bytes.return();
    },
  });
}
