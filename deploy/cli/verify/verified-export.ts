import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { MAX_ROWS_PER_SECOND, MIN_ROWS_PER_SECOND } from '../../../shared/domain/export-request.ts';
import { publicNameOf } from '../../../shared/domain/public-names.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { CouldNotTellError, type VerifyApi } from './verify-api.ts';

const file = z.object({
  name: z.string(),
  resource: z.string().nullable(),
  rows: z.number(),
  bytes: z.number(),
  sha256: z.string(),
  url: z.string(),
});

const view = z.object({
  id: z.string(),
  account_id: z.string().nullable(),
  status: z.string(),
  resources: z.array(z.string()),
  format: z.string(),
  compression: z.enum(['none', 'gzip', 'zstd']),
  archive: z.string().nullable(),
  include_deleted: z.boolean(),
  include_related: z.boolean(),
  date_range: z.unknown(),
  fields: z.unknown(),
  changes_since: z.unknown(),
  as_of: z.unknown().optional(),
  rows: z.object({ written: z.number() }),
  progress: z.number(),
  files: z.array(file),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

type ExportView = z.infer<typeof view>;

export interface ExportFile extends Omit<z.infer<typeof file>, 'resource'> {
  readonly resource: string;
}

/** A completed export that holds all living records of its resources, as JSON lines. */
export interface VerifiedExport {
  readonly id: string;
  readonly accountId: string;
  readonly resources: readonly string[];
  readonly compression: ExportView['compression'];
  readonly files: readonly ExportFile[];
}

const POLL_MS = 500;

/**
 * Takes an export of the account's living records and waits until it is completed. How long that may take is the service's
 * to say: an export that stands still fails there.
 *
 * @throws CouldNotTellError when it fails
 */
export async function takeExport(
  api: VerifyApi,
  {
    resources,
    accountId,
    rowsPerSecond,
    onProgress,
    onCreated,
    signal,
  }: {
    readonly resources: readonly string[];
    /** Undefined when the key is an account's own. */
    readonly accountId: string | undefined;
    /** How fast the source is read at most. */
    readonly rowsPerSecond: number;
    readonly onCreated: (id: string) => void;
    readonly onProgress: (status: string, progress: number) => void;
    readonly signal: AbortSignal;
  },
  catalog: Catalog,
): Promise<VerifiedExport> {
  const body = {
    resources,
    compression: 'gzip',
    max_rows_per_second: Math.min(Math.max(rowsPerSecond, MIN_ROWS_PER_SECOND), MAX_ROWS_PER_SECOND),
    ...(accountId === undefined ? {} : { account_id: accountId }),
  };
  const created = parseView(await api.ask('POST', '/exports', { body, idempotencyKey: randomUUID() }));
  onCreated(created.id);
  for (;;) {
    const found = parseView(await api.ask('GET', `/exports/${created.id}`));
    onProgress(found.status, found.progress);
    if (['completed', 'failed', 'cancelled', 'expired'].includes(found.status)) return usable(found, catalog);
    await sleep(POLL_MS, signal);
    signal.throwIfAborted();
  }
}

/** An export that was made before. @throws SetupError when it is not one that can be verified */
export async function findExport(api: VerifyApi, id: string, catalog: Catalog): Promise<VerifiedExport> {
  return usable(parseView(await api.ask('GET', `/exports/${encodeURIComponent(id)}`)), catalog);
}

function parseView(text: string): ExportView {
  return view.parse(JSON.parse(text));
}

function usable(found: ExportView, catalog: Catalog): VerifiedExport {
  if (found.status !== 'completed') {
    const why = found.error === undefined ? '' : `: ${found.error.code}, ${found.error.message}`;
    throw new CouldNotTellError(`the export ${found.id} is ${found.status}${why}`);
  }
  const faults: string[] = [];
  if (found.format !== 'jsonl') faults.push(`its format is ${found.format}, needed is jsonl`);
  if (found.archive !== null) faults.push('its files are in an archive');
  for (const option of ['date_range', 'fields', 'changes_since', 'as_of'] as const) {
    if (found[option] !== null && found[option] !== undefined) faults.push(`it was made with ${option}`);
  }
  if (found.account_id === null) faults.push('it is of all accounts at once, and a feed is of one');
  const mixed = found.include_deleted || found.include_related ? found.resources : [];
  for (const name of mixed) {
    const resource = findResource(catalog, name);
    if (resource?.softDelete !== undefined && publicNameOf(resource, resource.softDelete) === undefined) {
      faults.push(
        `it may hold deleted ${name}, which seem not deleted, because ${resource.softDelete} is hidden`,
      );
    }
  }
  if (faults.length > 0 || found.account_id === null) {
    throw new SetupError(
      `the export ${found.id} can't be verified; leave --export away to make one that can`,
      faults,
    );
  }
  const files = found.files.flatMap((each) =>
    each.resource === null ? [] : [{ ...each, resource: each.resource }],
  );
  return {
    id: found.id,
    accountId: found.account_id,
    resources: found.resources,
    compression: found.compression,
    files,
  };
}
