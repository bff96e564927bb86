import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Pool } from 'pg';
import { z } from 'zod';
import { type BulkTable, loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { IdFileError } from '../../../shared/bulk/id-file.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { newId } from '../../../shared/domain/ids.ts';
import { bulkFilePath } from '../../../shared/protocol/storage-paths.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { oneAccount } from '../http/caller.ts';
import { createConcurrencyLimiter } from '../http/concurrency-limiter.ts';
import type { RequestLimits } from '../http/request-limits.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type RawBody, type Route } from '../http/route.ts';
import { requireUtf8 } from '../http/text-rules.ts';
import { invalid } from '../http/validate.ts';
import { holdCaller } from '../keys/key-store.ts';
import { countIds, type IdCount } from './count-ids.ts';
import { EXAMPLE_FILE } from './examples.ts';
import { beginBulkFile, completeBulkFile, forgetBulkFile } from './file-store.ts';
import { readUpload } from './read-upload.ts';
import { bulkFileSchema } from './response.ts';
import { whenSourceResponds } from './source-errors.ts';

/** Dependencies of the upload of item IDs. */
export interface BulkFileDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly source: Pool;
  readonly storage: Storage;
  readonly requestLimits: RequestLimits;
}

/** About seven million UUIDs. */
export const MAX_FILE_BYTES = 256 * 1_024 * 1_024;

/** Limits of concurrent uploads: each uses a connection and a file until its client has sent everything. */
const UPLOAD_LIMITS = { max: 64, perAccount: 4 };
const UPLOAD_RETRY_SECONDS = 5;

function tooManyUploads(): AppError {
  return new AppError('too_many', 'Too many uploads are running. Wait for one to end.', {
    retryAfterSeconds: UPLOAD_RETRY_SECONDS,
  });
}

/** `POST /bulk/files`: for more IDs than a body may hold. */
export function bulkFileRoutes({ pool, storage, requestLimits, catalog, source }: BulkFileDeps): Route[] {
  const uploads = createConcurrencyLimiter(UPLOAD_LIMITS, tooManyUploads);
  const tableOf = (name: string | undefined): Promise<BulkTable> | undefined => {
    const resource = name === undefined ? undefined : findResource(catalog, name);
    return resource && whenSourceResponds(() => loadBulkTable(source, resource));
  };
  return [
    defineRoute({
      method: 'POST',
      path: '/bulk/files',
      operationId: 'createBulkFile',
      tag: 'bulk',
      summary: 'Upload the item IDs of a bulk job: UTF-8, one ID per line or CSV with one column',
      description:
        "For more IDs than a request may list: up to 256 MiB, one ID per line, or CSV with one column and the key column's name as the header. The response counts the lines that are not IDs. Send `file_id` with `POST /bulk/operations` within seven days.",
      example: { body: '1001\n1002\n1003\n' },
      problems: {
        invalid: 'The file has no line that is an ID, or a parameter is wrong.',
        too_many: 'Too many uploads run at once, or a limit of the account is reached.',
      },
      access: 'bulk:write',
      account: 'one',
      creates: true,
      rawBody: 'text/plain',
      query: z.strictObject({
        resource: z
          .enum(catalog.resources.map(({ name }) => name))
          .optional()
          .meta({ description: 'Checks each line as an ID of this resource.' }),
      }),
      responses: {
        201: {
          description: 'The file. It expires after seven days.',
          schema: bulkFileSchema,
          example: EXAMPLE_FILE,
        },
      },
      async handle({ accountId: named, query, incoming, caller, once }) {
        const accountId = oneAccount(named);
        requireUtf8(incoming.headers);
        requireWholeBody(incoming.headers);
        const release = await uploads.acquire(accountId);
        const id = newId('file');
        const forget = () => forgetBulkFile(pool, storage, id).catch(() => undefined);
        const { bytes, sha256, ...count } = await Promise.resolve(tableOf(query.resource))
          .then(async (table) => {
            await beginBulkFile(pool, { id, accountId, path: bulkFilePath(id) });
            return store(incoming, requestLimits, { storage, path: bulkFilePath(id), catalog, table });
          })
          .catch(async (error: unknown) => {
            await forget();
            throw error;
          })
          .finally(release);
        let isKept = false;
        const response = await once(
          async (db) => {
            requireIds(count);
            // The upload may have taken an hour.
            if (caller.kind === 'account') await holdCaller(db, caller.keyId);
            const row = await completeBulkFile(db, { id, bytes, items: count.items });
            isKept = true;
            return jsonResponse(201, {
              file_id: row.id,
              ...count,
              bytes,
              created_at: row.created_at.toISOString(),
              expires_at: row.expires_at.toISOString(),
            });
          },
          query.resource === undefined ? { sha256 } : { sha256, resource: query.resource },
        ).catch(async (error: unknown) => {
          // After any other failure the commit may have succeeded; the row shows whether it has.
          if (error instanceof AppError) await forget();
          throw error;
        });
        // A repeated request gets the first file's response. Nothing refers to this file.
        if (!isKept) await forget();
        return response;
      },
    }),
  ];
}

/** Refuses a multipart form, because its boundaries and headers would be read as IDs. */
function requireWholeBody({ 'content-type': type = '' }: IncomingHttpHeaders): void {
  if (!/^\s*multipart\//i.test(type)) return;
  throw new AppError(
    'unsupported_media_type',
    'Send the file itself as the body, as text/plain or text/csv, not as a form (curl: --data-binary @file, not -F).',
  );
}

/** @throws AppError `invalid` for a file without a usable ID */
function requireIds({ items, ids, bad_lines: badLines }: IdCount): void {
  if (ids > 0) return;
  const detail = items === 0 ? 'has no ID; send one ID per line' : 'has no line that is an ID';
  throw invalid([
    { pointer: '', detail },
    ...badLines.map(({ line, detail }) => ({ pointer: '', detail: `line ${line}: ${detail}` })),
  ]);
}

/** The target of an upload, and what its lines must be. */
interface Destination {
  readonly storage: Storage;
  readonly path: string;
  readonly catalog: Catalog;
  readonly table: BulkTable | undefined;
}

/**
 * Streams the body to storage and reads its IDs on the way. Removes the file when the body is refused.
 *
 * @throws AppError `too_large`, `timed_out`, `malformed`, `invalid`
 */
async function store(
  incoming: RawBody,
  limits: RequestLimits,
  { storage, path, ...ids }: Destination,
): Promise<IdCount & { bytes: number; sha256: string }> {
  const tooLarge = () => new AppError('too_large', `A file of IDs may have at most ${MAX_FILE_BYTES} bytes.`);
  if (Number(incoming.headers['content-length'] ?? 0) > MAX_FILE_BYTES) throw tooLarge();
  const writer = await storage.openWriter(path);
  const hash = createHash('sha256');
  async function* stored(): AsyncGenerator<Buffer> {
    for await (const bytes of readUpload(incoming, limits)) {
      if (writer.bytes + bytes.length > MAX_FILE_BYTES) throw tooLarge();
      hash.update(bytes);
      await writer.append(bytes);
      yield bytes;
    }
  }
  try {
    const count = await countIds(stored(), ids);
    if (!incoming.complete) throw new AppError('malformed', 'The body ended early.');
    await writer.commit();
    return { ...count, bytes: writer.bytes, sha256: hash.digest('hex') };
  } catch (error) {
    await writer.abort();
    if (error instanceof IdFileError) {
      throw new AppError('invalid', error.message, { errors: [{ pointer: '', detail: error.message }] });
    }
    if (error instanceof Error && 'code' in error && error.code === 'ECONNRESET') {
      throw new AppError('malformed', 'The body ended early.', { cause: error });
    }
    throw error;
  }
}
