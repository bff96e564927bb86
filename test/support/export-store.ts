import type pg from 'pg';
import { type ClaimedChunk, claimChunks } from '../../shared/control/chunks/claim-chunk.ts';
import { finishChunks, releaseChunks, renewChunks } from '../../shared/control/chunks/hold-chunks.ts';
import { addChunks, type Ending, recordSnapshot } from '../../shared/control/exports/export-run.ts';
import { type ClaimedExport, claimExport } from '../../shared/control/exports/queue-exports.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { guardTransitions } from './guard-transitions.ts';
import { createControlDatabase } from './stack.ts';

export const CLAIM_LIMITS = { maxRunningOfAllAccounts: 2, maxRuns: 5 };

/** A control store in which extractors are played: they claim exports and chunks, and nothing is read. */
export interface ExportStore extends AsyncDisposable {
  readonly pool: pg.Pool;
  /** Without accounts and exports. */
  empty(): Promise<void>;
  /** Pending exports of an account that may have two at once. */
  addExports(accountId: string, ids: string[]): Promise<void>;
  claim(owner?: string): Promise<ClaimedExport | undefined>;
  /** An export that is being extracted, with chunks of ten rows that were planned by the entries of `catalog`. */
  startRun(
    chunkCount: number,
    snapshotName?: string | null,
    catalog?: Readonly<Record<string, string>>,
  ): Promise<ClaimedExport>;
  /** As `startRun`; each chunk has a snapshot of its own. */
  startChunked(chunkCount: number): Promise<ClaimedExport>;
  /** One by one, as large chunks are. */
  claimChunk(owner: string): Promise<ClaimedChunk | undefined>;
  /** As `claimChunk`. @throws Error when there is none */
  claimOne(owner: string): Promise<ClaimedChunk>;
  renewChunk(chunk: ClaimedChunk, rows: number): Promise<boolean>;
  finishChunk(chunk: ClaimedChunk, rows: number): Promise<boolean>;
  releaseChunk(chunk: ClaimedChunk, how: { delayMs: number; ending: Ending }): Promise<boolean>;
  expireLeases(): Promise<unknown>;
  statusOf(id: string): Promise<Record<string, unknown> | undefined>;
}

export async function openExportStore(): Promise<ExportStore> {
  const cleanup = new AsyncDisposableStack();
  const database = cleanup.use(await createControlDatabase('export_store'));
  const pool = cleanup.adopt(
    createControlPool(database.url, silentLog, { applicationName: 'test', max: 20 }),
    (open) => open.end(),
  );
  await guardTransitions(pool);

  const claim: ExportStore['claim'] = (owner = 'one') => claimExport(pool, owner, CLAIM_LIMITS);
  const claimChunk: ExportStore['claimChunk'] = async (owner) =>
    (await claimChunks(pool, owner, { maxChunks: 1, maxRows: 0 }))?.[0];
  const startRun: ExportStore['startRun'] = async (chunkCount, snapshotName = 'snapshot-1', catalog = {}) => {
    const claimed = await claim();
    if (claimed === undefined) throw new Error('nothing to claim');
    const snapshot = { takenAt: '', lsn: '0/2', xmin: '5', xmax: '9', xip: ['7'] };
    await recordSnapshot(pool, claimed, {
      ...snapshot,
      startLsn: '0/1',
      tableForms: {},
      catalog,
      sealToken: 'token',
      systemId: '1',
      timeline: 1,
    });
    for (let chunk = 0; chunk < chunkCount; chunk += 1) {
      const planned = { resource: 'orders', chunk, lowerKey: null, upperKey: null, rows: 10 };
      await addChunks(pool, claimed, snapshotName, [planned]);
    }
    return claimed;
  };
  return {
    pool,
    async empty() {
      await pool.query('truncate accounts, exports, outbox cascade');
    },
    async addExports(accountId, ids) {
      await pool.query(
        `insert into accounts (id, name, source_id, max_running_exports) values ($1, $1, $1, 2) on conflict do nothing`,
        [accountId],
      );
      for (const id of ids) {
        await pool.query(
          `insert into exports (id, account_id, request, resources, status, phase)
           values ($1, $2, '{}', '{orders}', 'pending', 'queued')`,
          [id, accountId],
        );
      }
    },
    claim,
    startRun,
    async startChunked(chunkCount) {
      const run = await startRun(chunkCount, null);
      await pool.query(
        `update exports set snapshot_kind = 'chunked', read_since = jsonb_build_object('taken_at', now())
         where status = 'running'`,
      );
      return run;
    },
    claimChunk,
    async claimOne(owner) {
      const chunk = await claimChunk(owner);
      if (chunk === undefined) throw new Error('nothing to claim');
      return chunk;
    },
    renewChunk: (chunk, rows) => renewChunks(pool, [chunk], [rows]),
    finishChunk: (chunk, rows) =>
      finishChunks(pool, [chunk], [{ rows, recordKeys: null, readLsn: null, seen: null }]),
    releaseChunk: (chunk, how) => releaseChunks(pool, [chunk], how),
    expireLeases: () =>
      pool.query(`update exports set lease_expires_at = now() - interval '1 second';
                  update export_chunks set lease_expires_at = now() - interval '1 second'`),
    async statusOf(id) {
      const { rows } = await pool.query(
        'select status, phase, error, rows_extracted from exports where id = $1',
        [id],
      );
      return rows[0];
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
