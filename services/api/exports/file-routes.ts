import { z } from 'zod';
import { contentTypeOf } from '../../../shared/storage/storage.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { redirectTo } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { download, type ExportFileDeps, servedFile } from './download.ts';
import { noExport } from './export-commands.ts';
import { presignExportFile } from './response.ts';
import { createExportOwners, findExport } from './store.ts';

/** Media types of files, the manifest's too. */
const FILE_TYPES = ['x.json', 'x.jsonl', 'x.csv', 'x.parquet', 'x.gz', 'x.zst', 'x.zip'].map(contentTypeOf);

/** A week: what S3 allows. */
const MAX_LINK_SECONDS = 7 * 24 * 60 * 60;

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
      query: z.strictObject({
        expires_in: z.coerce.number().int().min(1).max(MAX_LINK_SECONDS).optional().meta({
          description:
            'Seconds in which the presigned URL can be opened. Default, and at most: the lifetime of all presigned URLs.',
        }),
      }),
      responses: { 302: { description: 'Redirect to the file.', headers: ['Location'] } },
      async handle({ param, query, accountId, caller }) {
        const row = await findExport(deps.pool, accountId, param('id'));
        if (row === undefined) throw noExport(param('id'));
        const lifetimeMs = query.expires_in === undefined ? undefined : query.expires_in * 1_000;
        const file = servedFile(row, param('name'), deps.now());
        await recordAudit(deps.pool, {
          accountId: row.account_id,
          actor: actorOf(caller),
          action: 'export.link_given',
          subjectId: row.id,
          details: { file: file.name },
        });
        return redirectTo((await presignExportFile(row, file.name, deps, lifetimeMs)).url);
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
      isDownload: true,
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
