import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { membersOf } from '../../../schemas/clients/typescript/src/raw-json.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { publicNameOf } from '../../../shared/domain/public-names.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Violation } from './apply-event.ts';
import { keyOf } from './compare-rows.ts';
import { readJsonLines } from './json-lines.ts';
import type { RecordStore } from './record-store.ts';
import type { ExportFile, VerifiedExport } from './verified-export.ts';
import { CouldNotTellError } from './verify-api.ts';

export interface LoadOptions {
  readonly records: RecordStore;
  readonly catalog: Catalog;
  readonly onViolation: (found: Violation) => void;
  /** Called for each row; it may take its time now and then. */
  readonly onRow: () => Promise<void> | undefined;
  readonly signal: AbortSignal;
}

/**
 * Loads the files as a subscriber does: living records only. Counts and hashes are checked against the manifest's.
 *
 * @throws CouldNotTellError when a file can't be had
 */
export async function loadFiles(view: VerifiedExport, options: LoadOptions): Promise<void> {
  for (const file of view.files) await loadFile(file, view.compression, options);
}

async function loadFile(
  file: ExportFile,
  compression: VerifiedExport['compression'],
  { records, catalog, onViolation, onRow, signal }: LoadOptions,
): Promise<void> {
  const resource = findResource(catalog, file.resource);
  if (resource === undefined) {
    throw new CouldNotTellError(
      `the export has ${file.resource}, which the catalog does not: use the services' CATALOG`,
    );
  }
  const tell = (key: string, text: string) =>
    onViolation({ resource: resource.name, key, text: `${text} (${file.name})` });
  const softDelete =
    resource.softDelete === undefined ? undefined : publicNameOf(resource, resource.softDelete);
  const hash = createHash('sha256');
  let rows = 0;
  const load = (line: string) => {
    const members = membersOf(line);
    const isDeleted = softDelete !== undefined && (members.get(softDelete) ?? 'null') !== 'null';
    const key = keyOf(resource, members);
    if (!isDeleted && !records.insert(resource.name, key, line)) tell(key, 'stands twice in the file');
  };
  try {
    const onShort = (received: number) =>
      tell('file', `only ${received} of its ${file.bytes} bytes are available`);
    for await (const line of linesOf(downloaded(file, hash, onShort, signal), compression)) {
      rows += 1;
      try {
        load(line);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        tell(`line ${rows}`, error.message);
      }
      await onRow();
    }
  } catch (error) {
    if (!isUnpackError(error)) throw error;
    tell('file', `can't be unpacked: ${(error as Error).message}`);
    return;
  }
  if (rows !== file.rows) tell('file', `holds ${rows} rows, the manifest says ${file.rows}`);
  const sha256 = hash.digest('hex');
  if (sha256 !== file.sha256) tell('file', `has SHA-256 ${sha256}, the manifest says ${file.sha256}`);
}

async function* linesOf(
  bytes: AsyncIterable<Buffer>,
  compression: VerifiedExport['compression'],
): AsyncGenerator<string> {
  const packed = Readable.from(bytes, { objectMode: false });
  const unpack =
    compression === 'gzip' ? createGunzip() : compression === 'zstd' ? createZstdDecompress() : undefined;
  // A pipe does not hand on the failure of its beginning.
  if (unpack !== undefined) packed.once('error', (error) => unpack.destroy(error));
  const plain = unpack === undefined ? packed : packed.pipe(unpack);
  try {
    yield* readJsonLines(plain);
  } finally {
    packed.destroy();
    plain.destroy();
  }
}

function isUnpackError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^(Z_|ZSTD_)/.test(code);
}

/** With 200 ms, 400 ms, … between them. */
const MAX_TRIES = 5;
/** The whole, a range, and a range that is not there. */
const ANSWERS_OF_A_FILE = [200, 206, 416];
/** Without a byte for so long a download is broken off and taken up again. */
const SILENCE_LIMIT_MS = 60_000;

/**
 * The file's bytes, hashed on their way. A download that breaks off is taken up where it was; when it always does so at the
 * same place, although the link answers, there is no more of the file, and `onShort` is told.
 */
async function* downloaded(
  file: ExportFile,
  hash: { update(bytes: Buffer): unknown },
  onShort: (received: number) => void,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let received = 0;
  for (let tries = 1; ; ) {
    let doesAnswer = false;
    try {
      const silence = new AbortController();
      let timer = setTimeout(() => silence.abort(), SILENCE_LIMIT_MS);
      try {
        const response = await fetch(file.url, {
          headers: received === 0 ? {} : { range: `bytes=${received}-` },
          signal: AbortSignal.any([signal, silence.signal]),
        });
        doesAnswer = ANSWERS_OF_A_FILE.includes(response.status);
        if (response.status !== (received === 0 ? 200 : 206) || response.body === null) {
          throw new Error(`the link returned ${response.status}`);
        }
        for await (const bytes of response.body) {
          clearTimeout(timer);
          const part = Buffer.from(bytes);
          received += part.length;
          tries = 1;
          hash.update(part);
          yield part;
          timer = setTimeout(() => silence.abort(), SILENCE_LIMIT_MS);
        }
        if (received < file.bytes) throw new Error(`${received} of ${file.bytes} bytes came`);
        return;
      } finally {
        clearTimeout(timer);
      }
    } catch (cause) {
      signal.throwIfAborted();
      if (received >= file.bytes) return;
      if (tries === MAX_TRIES && doesAnswer) return onShort(received);
      if (tries === MAX_TRIES) throw new CouldNotTellError(`${file.name} can't be downloaded`, { cause });
      await sleep(backoffMs(tries - 1, { initialMs: 200, maxMs: 5_000 }), signal);
      signal.throwIfAborted();
      tries += 1;
    }
  }
}
