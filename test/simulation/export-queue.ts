import type { Pool } from 'pg';
import { exportPlaces } from '../../services/extractor/export/hold-exports.ts';
import { isSmallExport, SMALL_EXPORTS_AT_ONCE } from '../../services/extractor/export/share-sources.ts';
import { claimChunks } from '../../shared/control/chunks/claim-chunk.ts';
import { finishChunks } from '../../shared/control/chunks/hold-chunks.ts';
import { addChunks, finishRun, recordSnapshot } from '../../shared/control/exports/export-run.ts';
import { type ClaimedExport, claimExport } from '../../shared/control/exports/queue-exports.ts';

/** An export as a customer requests it: so many chunks of a given number of rows each, at a virtual time. */
export interface RequestedExport {
  readonly id: string;
  readonly accountId: string;
  readonly atMs: number;
  readonly chunks: number;
}

export interface ExportQueueOptions {
  readonly requests: readonly RequestedExport[];
  /** Each holds up to `places` large exports and reads up to `readers` chunks at once. */
  readonly extractors: number;
  readonly places: number;
  readonly readers: number;
  readonly rowsPerChunk: number;
  readonly chunkMs: number;
  /** Between the snapshot and the first chunk: the feed, and the cursor. */
  readonly planMs: number;
}

export interface ExportQueueRun {
  /** Each chunk in the order in which it was claimed, by virtual time. */
  readonly claims: readonly { readonly exportId: string; readonly atMs: number }[];
  readonly endedMs: ReadonlyMap<string, number>;
  readonly statements: number;
}

/** As many chunks are open at once as by default. */
const CHUNK_WINDOW = 8;
const LIMITS = { maxRunningOfAllAccounts: 2, maxRuns: 5 };

interface Held {
  readonly claim: ClaimedExport;
  readonly request: RequestedExport;
  planned: number;
  read: number;
}

/**
 * Works off queued exports with the statements of production on a real control store. The rows are missing: to plan and to
 * read a chunk takes virtual time, so that hours of it pass as fast as the statements do.
 */
export async function runExportQueue(pool: Pool, options: ExportQueueOptions): Promise<ExportQueueRun> {
  const { requests, extractors, places, readers, rowsPerChunk, chunkMs, planMs } = options;
  const claims: { exportId: string; atMs: number }[] = [];
  const endedMs = new Map<string, number>();
  const held = new Map<string, Held & { readonly extractor: number }>();
  const events: { readonly atMs: number; readonly run: () => Promise<void> }[] = [];
  const reading = Array.from({ length: extractors }, () => 0);
  let nowMs = 0;
  let statements = 0;
  const counted = <T>(result: Promise<T>): Promise<T> => {
    statements += 1;
    return result;
  };
  const at = (ms: number, run: () => Promise<void>) => events.push({ atMs: nowMs + ms, run });

  const planOpen = async (one: Held) => {
    while (one.planned < one.request.chunks && one.planned - one.read < CHUNK_WINDOW) {
      const chunk = { resource: 'invoices', chunk: one.planned, lowerKey: null, upperKey: null };
      await counted(addChunks(pool, one.claim, 'snapshot', [{ ...chunk, rows: rowsPerChunk }]));
      one.planned += 1;
    }
  };

  const holdMore = async (extractor: number) => {
    for (;;) {
      const own = [...held.values()].filter((one) => one.extractor === extractor);
      const largeCount = own.filter(({ claim }) => !isSmallExport(claim)).length;
      const limits = exportPlaces(LIMITS, largeCount < places);
      const isRoom = own.length < places + SMALL_EXPORTS_AT_ONCE;
      const claim = isRoom ? await counted(claimExport(pool, `e${extractor}`, limits)) : undefined;
      const request = requests.find(({ id }) => id === claim?.id);
      if (claim === undefined || request === undefined) return;
      await keepLeases(pool);
      const snapshot = { takenAt: '', lsn: '0/2', xmin: '5', xmax: '9', xip: [], startLsn: '0/1' };
      await recordSnapshot(pool, claim, {
        ...snapshot,
        sealToken: 't',
        systemId: '1',
        timeline: 1,
        tableForms: {},
        catalog: {},
      });
      const one = { claim, request, planned: 0, read: 0, extractor };
      held.set(claim.id, one);
      at(planMs, () => planOpen(one));
    }
  };

  const readMore = async (extractor: number) => {
    while ((reading[extractor] ?? 0) < readers) {
      const batch = await counted(claimChunks(pool, `e${extractor}`));
      if (batch === undefined) return;
      await keepLeases(pool);
      reading[extractor] = (reading[extractor] ?? 0) + 1;
      const [{ exportId }] = batch;
      for (const _ of batch) claims.push({ exportId, atMs: nowMs });
      at(chunkMs * batch.length, async () => {
        reading[extractor] = (reading[extractor] ?? 0) - 1;
        const rows = batch.map(() => ({ rows: rowsPerChunk, recordKeys: null, readLsn: null, seen: null }));
        if (!(await counted(finishChunks(pool, batch, rows)))) throw new Error('a chunk was lost');
        const one = held.get(exportId);
        if (one === undefined) throw new Error(`nobody holds ${exportId}`);
        one.read += batch.length;
        await planOpen(one);
        if (one.read < one.request.chunks) return;
        await pool.query(`update exports set sealed_lsn = '0/3' where id = $1`, [exportId]);
        await counted(finishRun(pool, one.claim));
        held.delete(exportId);
        endedMs.set(exportId, nowMs);
      });
    }
  };

  for (const request of requests) {
    events.push({ atMs: request.atMs, run: () => insert(pool, request, rowsPerChunk) });
  }
  while (endedMs.size < requests.length) {
    events.sort((a, b) => a.atMs - b.atMs);
    const next = events.shift();
    if (next === undefined)
      throw new Error(`nothing to do, and ${requests.length - endedMs.size} exports have not ended`);
    nowMs = next.atMs;
    await next.run();
    if (events[0]?.atMs === nowMs) continue;
    for (let extractor = 0; extractor < extractors; extractor += 1) {
      await holdMore(extractor);
      await readMore(extractor);
    }
  }
  return { claims, endedMs, statements };
}

async function insert(
  pool: Pool,
  { id, accountId, chunks }: RequestedExport,
  rowsPerChunk: number,
): Promise<void> {
  await pool.query(
    `insert into exports (id, account_id, request, resources, status, phase, rows_estimated)
     values ($1, $2, '{}', '{invoices}', 'pending', 'queued', $3)`,
    [id, accountId, chunks * rowsPerChunk],
  );
}

/** Leases are of real time, which passes otherwise here. */
async function keepLeases(pool: Pool): Promise<void> {
  await pool.query(
    `update exports set lease_expires_at = 'infinity' where lease_owner is not null;
     update export_chunks set lease_expires_at = 'infinity' where lease_owner is not null`,
  );
}
