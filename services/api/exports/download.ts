import type { Readable } from 'node:stream';
import type { Pool } from 'pg';
import { MANIFEST, manifestPath } from '../../../shared/protocol/storage-paths.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import {
  contentTypeOf,
  type DownloadLinks,
  type Storage,
  StorageNotFoundError,
} from '../../../shared/storage/storage.ts';
import type { AccountLimiter } from '../http/account-limiter.ts';
import { recordAudit } from '../http/audit-log.ts';
import { RangeNotSatisfiableError } from '../http/problem.ts';
import type { ApiResponse } from '../http/response.ts';
import type { ApiRequest } from '../http/route.ts';
import { noExport } from './export-commands.ts';
import type { LinkDeps } from './response.ts';
import { type ExportOwners, type ExportRow, findExport } from './store.ts';

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

/** Serves a presigned link. It needs no key, and counts against the limits of its export's account. */
export async function download(
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
export function servedFile(row: ExportRow, name: string, nowMs: number): ServedFile {
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

/** The request headers that select what is sent of a file; RFC 9110, sections 13 and 14. */
export interface DownloadConditions {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

export type DownloadPlan =
  | { readonly kind: 'whole' }
  /** Both ends inclusive. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'precondition_failed' }
  | { readonly kind: 'not_satisfiable' };

/** Evaluates the headers in the order of RFC 9110, 13.2.2. A request for several ranges gets the whole file. */
export function planDownload(
  { range, ifRange, ifMatch, ifNoneMatch }: DownloadConditions,
  etag: string,
  bytes: number,
): DownloadPlan {
  if (ifMatch !== undefined && !matches(ifMatch, etag, 'strong')) return { kind: 'precondition_failed' };
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag, 'weak')) return { kind: 'not_modified' };
  // A date in If-Range never matches, because responses have no Last-Modified.
  if (range === undefined || (ifRange !== undefined && ifRange.trim() !== etag)) return { kind: 'whole' };
  return planRange(range, bytes);
}

function planRange(range: string, bytes: number): DownloadPlan {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(range);
  const [, first, last] = match ?? [];
  // The RFC requires that an unknown range is ignored.
  if (first === undefined || last === undefined || (first === '' && last === '')) return { kind: 'whole' };
  if (first === '') {
    const length = Math.min(Number(last), bytes);
    return length === 0
      ? { kind: 'not_satisfiable' }
      : { kind: 'part', start: bytes - length, end: bytes - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= bytes) return { kind: 'not_satisfiable' };
  return { kind: 'part', start, end: last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1) };
}

function matches(header: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (header.trim() === '*') return true;
  return header
    .split(',')
    .map((text) => text.trim())
    .some((text) => text === etag || (comparison === 'weak' && text === `W/${etag}`));
}

export type PresignVerdict = 'valid' | 'expired' | 'altered';

export interface Presigner extends DownloadLinks {
  /** Verifies a request by its path below the base and its query, exactly as they came. */
  verify(path: string, query: string, nowMs: number): PresignVerdict;
}

/**
 * Presigned URLs of files that the api itself serves, `<base>/<path>?expires=<epoch seconds>&signature=…`. The query
 * is read as text in exactly this form: no byte of it, and none of the path, has a second spelling that is accepted.
 */
export function createPresigner(signer: Signer, base: () => string): Presigner {
  const signed = (path: string, expires: string) => `${path}\n${expires}`;
  return {
    async presign(path, expiresAtMs) {
      const seconds = Math.floor(expiresAtMs / 1_000);
      const signature = signer.sign(signed(path, String(seconds)));
      return {
        url: `${base()}/${path}?expires=${seconds}&signature=${signature}`,
        expiresAt: new Date(seconds * 1_000),
      };
    },
    verify(path, query, nowMs) {
      const match = /^expires=([1-9][0-9]{0,11})&signature=([\w-]{43})$/.exec(query);
      const [, expires, signature] = match ?? [];
      if (expires === undefined || signature === undefined) return 'altered';
      if (!signer.verify(signed(path, expires), signature)) return 'altered';
      return Number(expires) * 1_000 > nowMs ? 'valid' : 'expired';
    },
  };
}
