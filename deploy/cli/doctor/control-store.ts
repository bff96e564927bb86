import { MIGRATE_COMMAND, readMigrationStatus } from '../../../shared/control/migrate.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type Area, close, type Found, failure, ok, warning } from './area.ts';
import { connectFix, examineServer, openSession } from './database.ts';

/** Tables on which this role lacks a right that the services need. */
const FIND_UNUSABLE = `
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'tandem' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'migrations'
  and not (has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT')
    and has_table_privilege(c.oid, 'UPDATE') and has_table_privilege(c.oid, 'DELETE'))
order by 1`;

/** Reads only. */
export async function examineControlStore(area: Area, { url }: { readonly url: string }): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const db = await area.attempt(
    'connect',
    connectFix('CONTROL_DATABASE_URL'),
    async () => cleanup.adopt(await openSession(area, { url }), (client) => close(client.end())),
    ({ host, port, database }) => ok(`${host}:${port} responds, database ${database}`),
  );
  if (db === undefined) return;
  const pool = cleanup.adopt(
    createControlPool(url, silentLog, {
      applicationName: 'tandem doctor',
      max: 1,
      answerTimeoutMs: area.limitMs,
    }),
    (one) => close(one.end()),
  );
  await area.attempt(
    'migrations',
    'install the release that applied them, unchanged',
    () => readMigrationStatus(pool),
    ({ applied, pending, newer }): Found => {
      if (pending.length > 0) {
        const detail = `${pending.length} of ${applied.length + pending.length} are pending`;
        return applied.length === 0
          ? warning(
              `${detail}: it is empty`,
              'the first service makes it; with CONTROL_MIGRATIONS=check run `tandem migrate apply`',
            )
          : failure(detail, `run \`${MIGRATE_COMMAND}\``);
      }
      if (newer.length > 0) return warning(`${newer.length} are of a newer release`, 'finish the upgrade');
      return ok(`${applied.length} applied, none pending`);
    },
  );
  await area.attempt(
    'rights',
    'grant the services theirs: deploy/README.md, "Upgrading"',
    () => db.query<{ relname: string }>(FIND_UNUSABLE),
    ({ rows }): Found => {
      if (rows.length === 0) return ok('the role may read and write every table');
      const names = rows.slice(0, 5).map(({ relname }) => relname);
      return failure(
        `the role lacks rights on ${rows.length} tables: ${names.join(', ')}${rows.length > 5 ? ', …' : ''}`,
        'grant the services theirs: deploy/README.md, "Upgrading"',
      );
    },
  );
  await examineServer(area, db);
}
