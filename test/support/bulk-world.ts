import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDocumint } from '../../deploy/samples/documint/generate-documint.ts';
import { buildBulk } from '../../services/bulk/build.ts';
import { readBulkConfig } from '../../services/bulk/config.ts';
import { LEDGER_DDL } from '../../shared/bulk/ledger.ts';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { type ApiOverrides, type ApiReply, openTestApi, type TestApi } from './api-server.ts';
import { type ServiceProcess, spawnService, startService } from './services.ts';
import { waitFor } from './wait-for.ts';

/** A status as `GET /bulk/operations/{id}` shows it; tests look into it freely. */
// biome-ignore lint/suspicious/noExplicitAny: as answers of the api are.
type Status = any;

/** DocuMint's tables in a database of its own, the api over it, and any number of bulk workers in this process. */
export interface BulkWorld extends AsyncDisposable {
  readonly api: TestApi;
  readonly env: Record<string, string>;
  /** A new account with `count` open invoices; their IDs go on from those of earlier accounts. */
  account(count: number): Promise<{ id: string; key: string; sourceId: string; ids: string[] }>;
  /** Runs a worker until the world is disposed or the returned function is called. */
  startWorker(settings?: Record<string, string>, log?: Log): Promise<() => Promise<void>>;
  /** Starts a worker as a process of its own. */
  spawnWorker(settings?: Record<string, string>, nodeOptions?: readonly string[]): ServiceProcess;
  submit(key: string, body: Record<string, unknown>, headers?: Record<string, string>): Promise<ApiReply>;
  status(key: string, jobId: string): Promise<Status>;
  /** Waits until the job has this status, or any that is final. */
  until(key: string, jobId: string, ...statuses: string[]): Promise<Status>;
  /** Waits until each claim of the job's chunks was renewed from now on, so that its worker has seen how the job stands, or is let go. */
  untilRenewed(jobId: string): Promise<void>;
  /** Every result of a job, by pages. */
  results(key: string, jobId: string, query?: string): Promise<Status[]>;
  /** IDs of the account's invoices that are void. */
  voided(sourceId: string): Promise<string[]>;
}

/** `handlerUrl`: where the operation `render` is sent to; `handlerMs`: how long an answer of it may take. */
export async function openBulkWorld({
  handlerUrl,
  handlerMs = 1_000,
  ...overrides
}: ApiOverrides & { handlerUrl?: string; handlerMs?: number } = {}): Promise<BulkWorld> {
  const cleanup = new AsyncDisposableStack();
  const folder = cleanup.adopt(await mkdtemp(join(tmpdir(), 'tandem-bulk-')), (path) =>
    rm(path, { recursive: true }),
  );
  const catalogPath = join(folder, 'catalog.yaml');
  const sample = await readFile('schemas/catalogs/documint.yaml', 'utf8');
  await writeFile(
    catalogPath,
    sample.replace(
      '"http://127.0.0.1:9000/render", timeout_ms: 5000',
      `"${handlerUrl}", timeout_ms: ${handlerMs}`,
    ),
  );
  const catalog = await loadCatalog(
    handlerUrl === undefined ? 'schemas/catalogs/documint.yaml' : catalogPath,
  );
  const api = cleanup.use(await openTestApi({ catalog, ...overrides }));
  await createDocumint(api.pool);
  for (const statement of LEDGER_DDL) await api.pool.query(statement);
  await api.pool.query(
    `insert into documint.customers (id, account_id, name, email, country, address)
     values (0, 'nobody', 'x', 'x@example.com', 'DE', '{}')`,
  );
  const env = {
    DATABASE_URL: api.databaseUrl,
    STORAGE_URL: api.storageUrl,
    CATALOG: handlerUrl === undefined ? 'schemas/catalogs/documint.yaml' : catalogPath,
    BULK_CHUNK_ITEMS: '50',
  };
  let next = 1;
  const status: BulkWorld['status'] = async (key, jobId) =>
    (await api.call('GET', `/bulk/operations/${jobId}`, { key })).json;
  return {
    api,
    env,
    status,
    async account(count) {
      const account = await api.account();
      const first = next;
      next += count;
      await api.pool.query(
        `insert into documint.customers (id, account_id, name, email, country, address)
         values ($1::bigint, $2, 'Customer', 'c@example.com', 'DE', '{}')`,
        [first, account.sourceId],
      );
      await api.pool.query(
        `insert into documint.invoices (id, account_id, customer_id, status, currency, tax, total, issued_on, memo)
         select n, $1, $2::bigint, 'open', 'EUR', 1, n, '2026-01-01', 'memo ' || n
         from generate_series($2::bigint, $3::bigint) n`,
        [account.sourceId, first, first + count - 1],
      );
      return { ...account, ids: Array.from({ length: count }, (_, index) => String(first + index)) };
    },
    async startWorker(settings = {}, log = undefined) {
      const config = readBulkConfig({ ...env, ...settings });
      const now = () => api.clock.nowMs ?? Date.now();
      const { stop } = cleanup.use(await startService((context) => buildBulk(config, context, now), log));
      return stop;
    },
    spawnWorker: (settings = {}, nodeOptions = []) =>
      cleanup.use(spawnService('bulk', { ...env, ...settings }, nodeOptions)),
    submit: (key, body, headers = {}) => api.call('POST', '/bulk/operations', { key, body, headers }),
    until: (key, jobId, ...statuses) =>
      waitFor(`${jobId} is ${statuses.join(' or ') || 'ended'}`, async () => {
        const found = await status(key, jobId);
        const isFinal = ['completed', 'failed', 'cancelled'].includes(found.status);
        return statuses.includes(found.status) || isFinal ? found : undefined;
      }),
    async untilRenewed(jobId) {
      const leases = new Set<number>();
      await waitFor(`the claims of ${jobId} are renewed or let go`, async () => {
        const { rows } = await api.pool.query<{ lease: Date | null }>(
          `select min(lease_expires_at) as lease from bulk_chunks where job_id = $1 and state = 'working'`,
          [jobId],
        );
        const lease = rows[0]?.lease?.getTime();
        if (lease !== undefined) leases.add(lease);
        // Of two claims the earlier one changes from one renewal to the next, so after two changes both were renewed.
        return lease === undefined || leases.size > 2;
      });
    },
    async results(key, jobId, query = '') {
      const all: Status[] = [];
      let cursor = '';
      for (;;) {
        const path = `/bulk/operations/${jobId}/results?limit=37${query}${cursor}`;
        const { json } = await api.call('GET', path, { key });
        all.push(...json.data);
        if (!json.has_more) return all;
        cursor = `&cursor=${encodeURIComponent(json.next_cursor)}`;
      }
    },
    async voided(sourceId) {
      const { rows } = await api.pool.query<{ id: string }>(
        `select id from documint.invoices where account_id = $1 and status = 'void' order by id`,
        [sourceId],
      );
      return rows.map(({ id }) => id);
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
