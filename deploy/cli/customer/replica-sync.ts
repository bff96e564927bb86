import { type FollowOptions, Replica } from '../../../schemas/clients/typescript/src/index.ts';
import { type Customer, customerCommand, untilStopped } from './customer-command.ts';
import { exportProgress } from './follow-export.ts';
import { formatCount, printable } from './format.ts';
import { commaList, first, sqlitePath } from './options.ts';

/** Lines about events come at most this often. */
const SAY_EVERY_MS = 10_000;

export const replicaSyncCommand = customerCommand<{ resources?: string[]; once: boolean }>({
  name: 'replica sync',
  summary: 'keep a copy of your records in a SQLite file: an export, then every change, until Ctrl-C',
  notes: `It may be ended at any moment, and continues where it was. Each resource is a view, such as invoices, which other
programs may read all the time. One sync may run for a file.`,
  examples: [
    'tandem replica sync sqlite:replica.db',
    'tandem replica sync sqlite:replica.db --resources customers,invoices --once',
    "sqlite3 replica.db 'select count(*) from invoices'",
  ],
  declare: (program) =>
    program
      .argument('<store>', 'sqlite:FILE', sqlitePath)
      .option('--resources <names>', 'which records (default: all)', commaList)
      .option('--once', 'end when the copy is up to date', false),
  async run(customer, { resources, once }, args) {
    const { client, signal, print, during } = customer;
    const api = client();
    const names = resources ?? (await api.resources.list({}, { signal }).toArray()).map(({ name }) => name);
    // Node has SQLite from a later version than the other commands need.
    const { SqliteStore } = await import('../../../schemas/clients/typescript/src/sqlite.ts');
    using store = new SqliteStore(sqlitePath(first(args)));
    const replica = new Replica({ client: api, store, resources: names });
    await during('sync', (report) => replica.sync({ ...reportsOf(customer, report), signal }));
    const status = await replica.status();
    const counts = Object.fromEntries(
      names.map((name) => [
        name,
        Number(store.database.prepare(`select count(*) as n from ${quote(name)}`).get()?.n),
      ]),
    );
    print({ export_id: status.exportId, stalled: status.stalled, records: counts }, [
      `up to date: ${Object.entries(counts)
        .map(([name, count]) => `${formatCount(count)} ${name}`)
        .join(', ')}`,
    ]);
    if (!once) await untilStopped(signal, () => replica.follow({ ...reportsOf(customer), signal }));
  },
});

/** What the replica does, for a person. */
function reportsOf({ note }: Customer, report?: (text: string) => void): FollowOptions {
  let events = 0;
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return {
    onProgress: ({ export: exported, resource, rows }) =>
      report?.(
        resource === null
          ? `export ${exportProgress(exported)}`
          : `loads ${resource}: ${formatCount(rows)} rows`,
      ),
    onEvents: (count) => {
      events += count;
      report?.(`${formatCount(events)} events`);
      if (report !== undefined || performance.now() - saidAtMs < SAY_EVERY_MS) return;
      saidAtMs = performance.now();
      note(`${formatCount(events)} events applied`);
    },
    onReset: (reason) => note(`feed.reset (${printable(reason)}): a new export is loaded`),
    onError: (error) => note(`${printable(error.message)} Trying again.`),
  };
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
