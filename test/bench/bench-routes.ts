import pg from 'pg';
import { createScratchDatabase } from '../../deploy/local/scratch-database.ts';
import type { CaptureProgress } from '../../services/capture/publish/capture-progress.ts';
import { openRoutes } from '../../services/capture/routes/open-routes.ts';
import { createRecordAccounts } from '../../services/capture/routes/record-accounts.ts';
import { parseCatalog } from '../../shared/catalog/load-catalog.ts';
import { migrate } from '../../shared/control/migrate.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../shared/postgres/text-session.ts';
import type { BenchOptions } from './bench-exports.ts';
import { machineLoad } from './machine-load.ts';

const ROWS = 1_000_000;
const SAMPLE_MS = 50;
/** What one Kafka transaction of a busy feed has of single-row transactions. */
const BATCH = 660;
const BATCHES = 50;

const CATALOG = `
catalog: routes
resources:
  parents: { table: app.parents, event: parent, key: [id], account: account_id }
  children: { table: app.children, event: child, key: [id], account: { via: parent_id } }
`;

const SHAPES = [
  { name: '1,000,000 children of one parent', parents: 1 },
  { name: '1,000,000 parents with a child each', parents: ROWS },
];

/**
 * How long capture reads parents and references from the source when it begins to know the accounts of records by their parents, how
 * much memory that takes, and what a batch of changes of children adds to the store and asks of it afterwards.
 */
export async function benchRoutes({ stack, log, say }: BenchOptions): Promise<void> {
  say(`  machine: ${machineLoad()}`);
  for (const { name, parents } of SHAPES) {
    await using cleanup = new AsyncDisposableStack();
    const { url } = cleanup.use(await createScratchDatabase(stack.databaseUrl, 'bench_routes'));
    const pool = new pg.Pool({
      connectionString: url,
      max: 2,
      options: TEXT_SESSION_OPTIONS,
      types: rawTypes,
    });
    cleanup.defer(() => pool.end());
    const control = createControlPool(url, log, { applicationName: 'bench routes' });
    cleanup.defer(() => control.end());
    await pool.query(`create schema app; create table app.parents (id bigint primary key, account_id text);
      create table app.children (id bigint primary key, parent_id bigint);
      insert into app.parents select n, 'account' || n % 1000 from generate_series(1, ${parents}) n;
      insert into app.children select n, 1 + n % ${parents} from generate_series(1, ${ROWS}) n; analyze`);
    await migrate(control);
    const catalog = parseCatalog(CATALOG, 'routes.yaml');
    const before = process.memoryUsage().rss;
    let peak = before;
    const sampling = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, SAMPLE_MS);
    const startedAtMs = performance.now();
    const routes = await openRoutes(
      { control, pool, catalog, broken: [], columns: '', progress: START, isResumed: false, log },
      AbortSignal.timeout(600_000),
    );
    const seconds = (performance.now() - startedAtMs) / 1_000;
    clearInterval(sampling);
    const size = await control.query<{ mb: string }>(
      `select ((pg_total_relation_size('routes') + pg_total_relation_size('route_references')) / 1e6)::int::text as mb`,
    );
    const stored = parents === 1 ? '' : ` (${Math.round((parents * 2) / seconds)} rows/s stored)`;
    say(
      `  ${name}: ${seconds.toFixed(1)} s${stored}, ` +
        `${Math.round((peak - before) / 1e6)} MB more memory, ${size.rows[0]?.mb} MB in the store`,
    );
    const accounts = createRecordAccounts(catalog, routes.read);
    const times = { store: 0, load: 0 };
    for (let batch = 0; batch < BATCHES; batch += 1) {
      const records = Array.from({ length: BATCH }, (_, n) => ({
        resource: 'parents',
        key: JSON.stringify([String(1 + ((batch * BATCH + n) % parents))]),
      }));
      const references = records.map((record) => ({ ...record, child: 'children', count: 1 }));
      const beginMs = performance.now();
      const completeTo = BigInt(batch + 1);
      const commits = records.map((_, n) => ({
        commitLsn: BigInt(batch * BATCH + n + 1),
        xid: 1n,
        hasRoutes: false,
        hasReferences: true,
      }));
      await routes.store({ routes: [], references, commits }, completeTo);
      const storedMs = performance.now();
      await accounts.load(records);
      times.store += storedMs - beginMs;
      times.load += performance.now() - storedMs;
    }
    say(
      `    ${BATCH} inserts of children in transactions of their own: ${(times.store / BATCHES).toFixed(1)} ms to store, ` +
        `${(times.load / BATCHES).toFixed(1)} ms to find their accounts`,
    );
  }
  say(`  machine: ${machineLoad()}`);
}

const START: CaptureProgress = {
  systemId: 'bench',
  timeline: 1,
  passedLsn: 0n,
  lastCommitLsn: 0n,
  lastIndex: -1,
  settledLsn: 0n,
  snapshot: '',
  unsettled: [],
  unsettledXmin: null,
  tables: new Map(),
  setAsides: [],
};
