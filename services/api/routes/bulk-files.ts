import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { readIdLines } from '../../../shared/bulk/read-id-lines.ts';
import { newId } from '../../../shared/domain/ids.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { createPlaces } from '../bulk/places.ts';
import { oneAccount } from '../http/account-of.ts';
import { answerJson } from '../http/answer.ts';
import { readUpload } from '../http/read-upload.ts';
import type { RequestLimits } from '../http/request-limits.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { insertBulkFile } from '../store/bulk-files.ts';
import { bulkFileSchema } from '../wire-bulk.ts';
import type { BulkDeps } from './bulk.ts';

export interface BulkFileDeps extends BulkDeps {
  readonly storage: Storage;
  readonly requestLimits: RequestLimits;
}

/** About seven million UUIDs. */
const MAX_FILE_BYTES = 256 * 1_024 * 1_024;

/** Uploads under way in this process and of one account: each holds a connection and a file for as long as its client takes. */
const UPLOAD_PLACES = { max: 64, perAccount: 4 };
const UPLOAD_RETRY_SECONDS = 5;

function tooManyUploads(): AppError {
  return new AppError('too_many', 'Other uploads are under way; wait for one to end.', {
    retryAfterSeconds: UPLOAD_RETRY_SECONDS,
  });
}

/** `POST /bulk/files`: more IDs than a body may hold. */
export function bulkFileRoutes({ storage, requestLimits }: BulkFileDeps): Route[] {
  const places = createPlaces(UPLOAD_PLACES);
  return [
    defineRoute({
      method: 'POST',
      path: '/bulk/files',
      summary: 'Upload IDs, one per line, for a bulk operation',
      access: 'bulk:write',
      account: 'one',
      creates: true,
      rawBody: 'text/plain',
      answers: { 201: { description: 'The file, kept for seven days.', schema: bulkFileSchema } },
      async handle({ accountId: named, incoming, once }) {
        const accountId = oneAccount(named);
        const leave = places.take(accountId);
        if (leave === undefined) throw tooManyUploads();
        const id = newId('file');
        const path = `bulk-files/${id}`;
        const { bytes, items, sha256 } = await store(incoming, requestLimits, storage, path).finally(leave);
        let isKept = false;
        try {
          return await once(
            async (db) => {
              if (items === 0) {
                throw new AppError('invalid', 'The file holds no ID; send one per line.', {
                  errors: [{ pointer: '', detail: 'holds no ID' }],
                });
              }
              const row = await insertBulkFile(db, { id, accountId, path, bytes, items });
              isKept = true;
              return answerJson(201, {
                file_id: row.id,
                items,
                bytes,
                created_at: row.created_at.toISOString(),
                expires_at: row.expires_at.toISOString(),
              });
            },
            { sha256 },
          );
        } catch (error) {
          isKept = false;
          throw error;
        } finally {
          // A replay is answered with the first file; this one nobody knows of.
          if (!isKept) await storage.delete(path);
        }
      },
    }),
  ];
}

/** Streams the body to storage and counts its IDs on the way. @throws AppError `too_large`, `timed_out`, `malformed` */
async function store(
  incoming: IncomingMessage,
  limits: RequestLimits,
  storage: Storage,
  path: string,
): Promise<{ bytes: number; items: number; sha256: string }> {
  const encoding = incoming.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the file without a Content-Encoding.');
  }
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
    let items = 0;
    for await (const lines of readIdLines(stored())) items += lines.length;
    if (!incoming.complete) throw new AppError('malformed', 'The body ended early.');
    await writer.commit();
    return { bytes: writer.bytes, items, sha256: hash.digest('hex') };
  } catch (error) {
    await writer.abort();
    if (error instanceof Error && 'code' in error && error.code === 'ECONNRESET') {
      throw new AppError('malformed', 'The body ended early.', { cause: error });
    }
    throw error;
  }
}
