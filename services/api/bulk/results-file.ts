import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, pipeline, Readable } from 'node:stream';
import type { Pool } from 'pg';
import { readResults } from '../../../shared/bulk/ledger.ts';
import type { ItemResult, ItemStatus } from '../../../shared/domain/bulk.ts';
import type { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../shared/domain/export-request.ts';
import type { Column, RowType } from '../../../shared/domain/row-type.ts';
import type { ChooseFormat } from '../../../shared/formats/choose-format.ts';
import { type EncodeContext, type Staging, stagingOf } from '../../../shared/formats/format.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { contentTypeOf } from '../../../shared/storage/storage.ts';
import { escapeLineSeparators } from '../../../shared/values/json-text.ts';
import type { AccountLimiter } from '../http/account-limiter.ts';
import { createConcurrencyLimiter } from '../http/concurrency-limiter.ts';
import type { ApiResponse } from '../http/response.ts';
import { presentItem } from './response.ts';
import type { BulkJobRow } from './store.ts';

/** A job's results as one file. */
export interface ResultsRequest {
  readonly format: (typeof FILE_FORMATS)[number];
  readonly compression: (typeof EXPORT_COMPRESSIONS)[number];
  readonly csvSafe: boolean;
  readonly status: ItemStatus | undefined;
}

/** `limitedAccountId`: the account of the request; undefined for the operator. */
export type OpenResultsFile = (
  job: BulkJobRow,
  request: ResultsRequest,
  limitedAccountId: string | undefined,
) => Promise<ApiResponse>;

/** Limit of concurrent result files: each reads the source as fast as its client reads the file. */
const FILE_LIMITS = { max: 16, perAccount: 2 };
const BUSY_RETRY_SECONDS = 5;

/** Results in memory at once for one file. */
const PAGE_ITEMS = 5_000;

const PARQUET_MEMORY_MB = 256;

const column = (name: string, kind: Column['type']['kind'], pgName: string): Column => ({
  name,
  type: { kind, pgName },
  isKey: name === 'item_id',
});

const RESULT_ROW: RowType = {
  resource: 'results',
  columns: [
    column('item_id', 'string', 'text'),
    column('status', 'string', 'text'),
    column('code', 'string', 'text'),
    column('message', 'string', 'text'),
    column('line', 'int', 'int4'),
    column('at', 'string', 'timestamptz'),
  ],
};

/**
 * Streams the results of an ended job from the ledger, page by page, so that memory does not grow with their
 * number. Nothing is stored: the ledger keeps results as long as the job, and the same request gives the same
 * rows.
 * Breaks the file off, which every client notices, when it would hold fewer results than the job counts.
 */
export function createResultsFiles(source: Pool, limiter: Pick<AccountLimiter, 'download'>): OpenResultsFile {
  const files = createConcurrencyLimiter(
    FILE_LIMITS,
    () =>
      new AppError('too_many', 'Other result files are being written. Try again in a moment.', {
        retryAfterSeconds: BUSY_RETRY_SECONDS,
      }),
  );
  let formats: Promise<ChooseFormat> | undefined;
  return async (job, request, limitedAccountId) => {
    // DuckDB takes tens of megabytes, and most processes never need it.
    formats ??= import('../../../shared/formats/choose-format.ts').then(({ createChooseFormat }) =>
      createChooseFormat({ parquetMemoryMb: PARQUET_MEMORY_MB }),
    );
    const { format, compression } = (await formats)({
      format: request.format,
      compression: request.compression,
      archive: null,
      csv_safe: request.csvSafe,
      buckets: null,
    });
    const endDownload = await limiter.download(limitedAccountId);
    const endFile = await files.acquire(job.account_id).catch((error: unknown) => {
      endDownload();
      throw error;
    });
    const release = () => {
      endFile();
      endDownload();
    };
    try {
      const read = pageReader(source, job.id, request.status);
      // Read before the response starts, so that an unavailable source gets a proper status.
      const first = await read(-1);
      const stop = new AbortController();
      const lines = linesOf(first, read, expectedCount(job, request.status), stagingOf(request.format));
      const bytes = inScratch(stop.signal, (context) =>
        compression.compress(format.encode(lines, RESULT_ROW, context).bytes, context),
      );
      // A generator that waits for DuckDB cannot be closed. A stream after it can, so the work ends when the
      // client leaves.
      const file = new PassThrough();
      pipeline(Readable.from(bytes), file, () => undefined);
      file.once('close', () => {
        stop.abort(new Error('the client stopped reading the file'));
        release();
      });
      const name = `${job.id}-${request.status ?? 'results'}${format.suffix}${compression.suffix}`;
      return {
        status: 200,
        headers: {
          'content-type': contentTypeOf(name),
          'content-disposition': `attachment; filename="${name}"`,
          'cache-control': 'no-store',
        },
        body: file,
      };
    } catch (error) {
      release();
      throw error;
    }
  };
}

type ReadPage = (afterSeq: number) => Promise<ItemResult[]>;

function pageReader(source: Pool, jobId: string, status: ItemStatus | undefined): ReadPage {
  return (afterSeq) => readResults(source, jobId, { status, afterSeq, limit: PAGE_ITEMS });
}

function expectedCount(job: BulkJobRow, status: ItemStatus | undefined): number {
  return Number(job[status ?? 'processed']);
}

async function* linesOf(
  first: ItemResult[],
  read: ReadPage,
  expected: number,
  staging: Staging,
): AsyncGenerator<Buffer> {
  let count = 0;
  for (let page = first; page.length > 0; ) {
    count += page.length;
    yield Buffer.from(
      page.map((result) => `${escapeLineSeparators(JSON.stringify(staged(result, staging)))}\n`).join(''),
    );
    const last = page.at(-1);
    page = last === undefined || page.length < PAGE_ITEMS ? [] : await read(last.seq);
  }
  if (count !== expected) {
    throw new Error(`the ledger has ${count} results of the job, and it counts ${expected}`);
  }
}

function staged(result: ItemResult, staging: Staging): unknown {
  if (staging === 'json') return presentItem(result);
  const { itemId, status, code, message, line, at } = result;
  return [itemId, status, code, message, line === null ? null : String(line), at];
}

/** Gives the encoder a temporary folder. */
async function* inScratch(
  signal: AbortSignal,
  encode: (context: EncodeContext) => AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  let folder: Promise<string> | undefined;
  try {
    yield* encode({
      signal,
      async scratchPath(name) {
        folder ??= mkdtemp(join(tmpdir(), 'tandem-results-'));
        return join(await folder, name);
      },
    });
  } finally {
    if (folder !== undefined) await rm(await folder, { recursive: true, force: true });
  }
}
