import type { Readable } from 'node:stream';
import type { Pool } from 'pg';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { MANIFEST, manifestPath } from '../../../shared/protocol/storage-paths.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { contentTypeOf, type Storage, StorageNotFoundError } from '../../../shared/storage/storage.ts';
import type { AccountLimiter } from '../http/account-limiter.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { RangeNotSatisfiableError } from '../http/problem.ts';
import { type ApiResponse, redirectTo } from '../http/response.ts';
import { type ApiRequest, defineRoute, type Route } from '../http/route.ts';
import { planDownload } from './download.ts';
import type { Presigner } from './presign.ts';
import { type LinkDeps, presignExportFile } from './response.ts';
import { noExport } from './routes.ts';
import { type ExportRow, findExport } from './store.ts';

export interface ExportFileDeps extends LinkDeps {
  readonly pool: Pool;
  readonly storage: Pick<Storage, 'openRead' | 'stat'>;
  /** Verifies links to this route. Storage with presigned URLs of its own does not need it. */
  readonly presigner: Pick<Presigner, 'verify'>;
  readonly limiter: Pick<AccountLimiter, 'admit' | 'run' | 'download'>;
}

/**
 * A file as it is served. The manifest has no hash of itself. An export never changes, so its ID serves as
 * the ETag.
 */
interface ServedFile {
  readonly name: string;
  readonly path: string;
  readonly etag: string;
  readonly digest: string | undefined;
}

/** Media types of files, the manifest's too. */
const FILE_TYPES = ['x.json', 'x.jsonl', 'x.csv', 'x.parquet', 'x.gz', 'x.zst', 'x.zip'].map(contentTypeOf);

const FILE_HEADERS = ['ETag', 'Accept-Ranges', 'Content-Disposition', 'Repr-Digest'] as const;

/** Downloads by key through a stable link, and without a key through a presigned URL. */
export function exportFileRoutes(deps: ExportFileDeps): Route[] {
  const ownerOf = createExportOwners(deps.pool);
  return [
    defineRoute({
      method: 'GET',
      path: '/exports/{id}/files/{name}',
      operationId: 'getExportFile',
      tag: 'exports',
      summary: 'Download a file by a redirect to a new presigned URL',
      description:
        'The stable link of a file, for as long as the file is kept. It redirects to a presigned URL, which needs no key.',
      params: { id: 'ID of the export.', name: 'Name of a file of the export, or `manifest.json`.' },
      example: { params: { id: EXAMPLE.export, name: 'manifest.json' } },
      problems: {
        not_found: 'There is no such export, or it has no such file.',
        conflict: 'The export is not completed. `export_status` is its status.',
        gone: 'The files of the export were removed.',
      },
      access: 'exports:read',
      account: 'any',
      isDownload: true,
      responses: { 302: { description: 'Redirect to the file.', headers: ['Location'] } },
      async handle({ param, accountId, caller }) {
        const row = await findExport(deps.pool, accountId, param('id'));
        if (row === undefined) throw noExport(param('id'));
        const file = servedFile(row, param('name'), deps.now());
        await recordAudit(deps.pool, {
          accountId: row.account_id,
          actor: actorOf(caller),
          action: 'export.link_given',
          subjectId: row.id,
          details: { file: file.name },
        });
        return redirectTo((await presignExportFile(row, file.name, deps)).url);
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/files/exports/{id}/{name}',
      operationId: 'downloadExportFile',
      tag: 'exports',
      summary: 'Download a file by its presigned URL',
      description:
        "A presigned URL: take it whole from `url` of an export's file, because its query holds the signature. Send `Range` to get a part, `If-Range` or `If-Match` with the `ETag` to be sure that it is of the same file. `Repr-Digest` has the SHA-256 of the whole file.",
      params: { id: 'ID of the export.', name: 'Name of the file.' },
      example: { params: { id: EXAMPLE.export, name: 'manifest.json' } },
      problems: {
        forbidden: 'The link has expired or was altered. Request the export again for a new link.',
        conflict: 'The export is not completed.',
        gone: 'The files of the export were removed.',
        precondition_failed: 'The file does not match `If-Match`.',
        range_not_satisfiable: 'The file has no such range. `Content-Range` has its length.',
        too_many: 'Too many downloads of the account run at once.',
        unavailable: 'Files cannot be read at present. Wait for the time of `Retry-After` and try again.',
      },
      access: 'public',
      account: 'none',
      // The signature covers the query, so a wrong query is an altered link.
      readsQuery: true,
      responses: {
        200: { description: 'The file.', types: FILE_TYPES, headers: FILE_HEADERS },
        206: {
          description: 'The requested range.',
          types: FILE_TYPES,
          headers: [...FILE_HEADERS, 'Content-Range'],
        },
        304: { description: 'The client already has this file.', headers: FILE_HEADERS },
      },
      handle: (request) => download(request, ownerOf, deps),
    }),
  ];
}

/** Serves a presigned link. It needs no key, and counts against the limits of its export's account. */
async function download(
  request: ApiRequest,
  ownerOf: ExportOwners,
  deps: ExportFileDeps,
): Promise<ApiResponse> {
  const verdict = deps.presigner.verify(
    request.path.slice('/files/'.length),
    request.querystring,
    deps.now(),
  );
  if (verdict === 'expired')
    throw new AppError('forbidden', 'The link has expired. Request the export again for a new link.');
  if (verdict === 'altered') throw new AppError('forbidden', 'The link is not valid or was altered.');
  const owner = await ownerOf(request.param('id'));
  if (owner === undefined) throw noExport(request.param('id'));
  const limitedAccountId = owner.accountId ?? undefined;
  const release = await deps.limiter.admit(limitedAccountId);
  try {
    const end = await deps.limiter.run(limitedAccountId);
    try {
      return await downloadResponse(request, limitedAccountId, deps);
    } finally {
      end();
    }
  } finally {
    release();
  }
}

async function downloadResponse(
  request: ApiRequest,
  limitedAccountId: string | undefined,
  deps: ExportFileDeps,
): Promise<ApiResponse> {
  const row = await findExport(deps.pool, null, request.param('id'));
  if (row === undefined) throw noExport(request.param('id'));
  const file = servedFile(row, request.param('name'), deps.now());
  const stored = await deps.storage.stat(file.path);
  if (stored === undefined) return missing(row, deps);
  return send(request, limitedAccountId, file, stored.bytes, row, deps);
}

async function send(
  request: ApiRequest,
  limitedAccountId: string | undefined,
  file: ServedFile,
  bytes: number,
  row: ExportRow,
  deps: ExportFileDeps,
): Promise<ApiResponse> {
  const conditions = {
    range: request.method === 'GET' ? request.header('range') : undefined,
    ifRange: request.header('if-range'),
    ifMatch: request.header('if-match'),
    ifNoneMatch: request.header('if-none-match'),
  };
  const plan = planDownload(conditions, file.etag, bytes);
  const headers = {
    etag: file.etag,
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=0, must-revalidate',
    'x-content-type-options': 'nosniff',
    'content-type': contentTypeOf(file.name),
    'content-disposition': `attachment; filename="${file.name}"`,
    ...(file.digest === undefined ? {} : { 'repr-digest': `sha-256=:${file.digest}:` }),
  };
  switch (plan.kind) {
    case 'precondition_failed':
      throw new AppError('precondition_failed', 'The file does not match If-Match.');
    case 'not_satisfiable':
      throw new RangeNotSatisfiableError(bytes);
    case 'not_modified':
      return { status: 304, headers, body: undefined };
    case 'part': {
      const range = { start: plan.start, end: plan.end };
      const part = {
        ...headers,
        'content-length': String(plan.end - plan.start + 1),
        'content-range': `bytes ${plan.start}-${plan.end}/${bytes}`,
      };
      return {
        status: 206,
        headers: part,
        body: await open(request, limitedAccountId, file, range, row, deps),
      };
    }
    case 'whole': {
      const body =
        request.method === 'HEAD'
          ? undefined
          : await open(request, limitedAccountId, file, undefined, row, deps);
      return { status: 200, headers: { ...headers, 'content-length': String(bytes) }, body };
    }
  }
}

/** Recorded before the first byte, so that every download is in the log, though its client may leave early. */
async function recordDownload(
  { header }: ApiRequest,
  { name }: ServedFile,
  row: ExportRow,
  { pool }: ExportFileDeps,
): Promise<void> {
  const range = header('range');
  await recordAudit(pool, {
    accountId: row.account_id,
    actor: 'link',
    action: 'export.downloaded',
    subjectId: row.id,
    details: { file: name, ...(range === undefined ? {} : { range: range.slice(0, 100) }) },
  });
}

async function open(
  request: ApiRequest,
  limitedAccountId: string | undefined,
  file: ServedFile,
  range: { start: number; end: number } | undefined,
  row: ExportRow,
  deps: ExportFileDeps,
): Promise<Readable> {
  const release = await deps.limiter.download(limitedAccountId);
  try {
    await recordDownload(request, file, row, deps);
    const body = await deps.storage.openRead(file.path, range);
    body.once('close', release);
    return body;
  } catch (error) {
    release();
    if (error instanceof StorageNotFoundError) return missing(row, deps);
    throw error;
  }
}

/**
 * The file may have been deleted since the export was read. A file that is missing otherwise is an internal
 * error.
 */
async function missing(row: ExportRow, deps: ExportFileDeps): Promise<never> {
  const now = await findExport(deps.pool, null, row.id);
  if (now?.status === 'completed')
    throw new Error(`files of the completed export ${row.id} are not in storage`);
  throw gone();
}

/** @throws AppError `gone` after its retention, `conflict` before completion, `not_found` for an unknown name */
function servedFile(row: ExportRow, name: string, nowMs: number): ServedFile {
  const isPastRetention = row.expires_at !== null && row.expires_at.getTime() <= nowMs;
  if (row.status === 'expired' || (row.status === 'completed' && isPastRetention)) throw gone();
  if (row.status !== 'completed') {
    throw new AppError('conflict', `The export is ${row.status}. It has files once it is completed.`, {
      extra: { export_status: row.status },
    });
  }
  if (name === MANIFEST) {
    return { name, path: manifestPath(row.id), etag: `"${row.id}-manifest"`, digest: undefined };
  }
  const file = row.files?.find((candidate) => candidate.name === name);
  if (file === undefined) throw new AppError('not_found', `The export has no file ${name}.`);
  const digest = Buffer.from(file.sha256, 'hex').toString('base64');
  return { name, path: file.path, etag: `"${file.sha256}"`, digest };
}

function gone(): AppError {
  return new AppError('gone', 'The files of this export were removed. Create a new export.');
}

/** @returns undefined for an unknown export; `accountId` is null for an export of all accounts */
export type ExportOwners = (exportId: string) => Promise<{ readonly accountId: string | null } | undefined>;

/** Cached exports. The oldest is dropped first. */
const MAX_REMEMBERED = 10_000;

/**
 * Caches the account of an export, which never changes. A link that is used often costs no query before its
 * account's limits apply.
 */
export function createExportOwners(db: Queryable): ExportOwners {
  const remembered = new Map<string, { accountId: string | null }>();
  return async (exportId) => {
    const known = remembered.get(exportId);
    if (known !== undefined) return known;
    const { rows } = await db.query<{ accountId: string | null }>(
      'select account_id as "accountId" from exports where id = $1',
      [exportId],
    );
    const [owner] = rows;
    if (owner === undefined) return undefined;
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size >= MAX_REMEMBERED) remembered.delete(oldest);
    remembered.set(exportId, owner);
    return owner;
  };
}
