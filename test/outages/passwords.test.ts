import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { doctorCommand } from '../../deploy/cli/commands/doctor.ts';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { type ServiceName, startServices } from '../../deploy/local/supervise.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { openOwnPostgres } from '../support/own-postgres.ts';
import { runCommand } from '../support/run-command.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { waitFor } from '../support/wait-for.ts';

const SERVICES = { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 } as const;
const ALL = Object.keys(SERVICES) as ServiceName[];

/** Who has sessions with the role of a setting, and says so when it can't open one. */
const USERS = {
  DATABASE_URL: ['extractor', 'capture', 'bulk'],
  CONTROL_DATABASE_URL: ['api', 'extractor', 'writer', 'dispatcher', 'bulk'],
} as const satisfies Record<string, readonly ServiceName[]>;

const EXPORT_LIMIT_MS = 120_000;

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

/** @returns the same URL with the new password */
async function changePassword(url: string, password: string): Promise<string> {
  await query(url, `alter role current_user password '${password}'`);
  const changed = new URL(url);
  changed.password = password;
  return changed.href;
}

const endSessions = (url: string) =>
  query(
    url,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tandem %' and pid <> pg_backend_pid()",
  );

interface Rotation {
  readonly setting: keyof typeof USERS;
  /** The URL that the services have, and the one that the server takes. */
  readonly former: string;
  readonly current: string;
}

test('a changed password of the source or the control store is told, loses nothing, and ends with a restart', async () => {
  await using cleanup = new AsyncDisposableStack();
  const sourceServer = cleanup.use(await openOwnPostgres());
  const controlServer = cleanup.use(await openOwnPostgres());
  const directory = temporaryDirectory();
  const opened = cleanup.use(
    await openWorld({
      stack: { ...testStack(), databaseUrl: sourceServer.url('postgres') },
      controlServerUrl: controlServer.url('postgres'),
      directory,
      rows: 300,
      accounts: 2,
      services: SERVICES,
      log: silentLog,
    }),
  );
  const customer = await opened.createCustomer(opened.generated.accounts[0] ?? '');
  let world: World = opened;
  let home = join(directory, opened.prefix);
  const logOf = (service: ServiceName) => readFileSync(join(home, 'logs', `${service}-0.log`), 'utf8');
  const pidsNow = () => ALL.map((name) => world.services.pids(name)[0]);
  const touch = (memo: string) =>
    query(
      world.sourceUrl,
      `update documint.invoices set memo = '${memo}' where account_id = '${customer.sourceId}'`,
    );
  const first = await createExport(world, customer);
  const replica = await loadExport(world, customer, first.id);
  let after = `after_export=${first.id}`;
  const pull = async () => {
    after = await pullFeed(customer, after, replica);
  };

  /** Changes the password under running services, and gives them the new one after a while. */
  const rotate = async (setting: keyof typeof USERS): Promise<void> => {
    const former = world.env[setting] ?? '';
    const current = await changePassword(former, randomBytes(16).toString('hex'));
    // What cleans up has the first one.
    cleanup.defer(() => changePassword(current, new URL(former).password).then(() => undefined));
    const rotation: Rotation = { setting, former, current };
    world = { ...world, ...(setting === 'DATABASE_URL' ? { sourceUrl: current } : { controlUrl: current }) };

    // Sessions that are open stay so.
    await touch(`${setting} changed`);
    expect(await differencesAfter(world, customer, replica, pull)).toEqual([]);

    // Something ends them, a failover say: none can be opened again.
    const pids = pidsNow();
    await endSessions(current);
    await touch(`${setting} refused`);
    await isTold(rotation);
    // Capture ends at once, so that whoever runs it looks; all others wait.
    const ended = ALL.filter((_, index) => pidsNow()[index] !== pids[index]);
    expect(ended).toEqual(setting === 'DATABASE_URL' ? ['capture'] : []);

    const pending = setting === 'DATABASE_URL' ? await createExport(world, customer) : undefined;
    await world.services.stop();
    const env = { ...world.env, [setting]: current };
    home = join(directory, `after-${setting}`);
    const services = cleanup.use(
      await startServices({
        env: { ...env, PORT: new URL(world.apiUrl).port },
        services: SERVICES,
        log: silentLog,
        home,
      }),
    );
    world = { ...world, env, services };
    await services.untilReady();
    expect(await differencesAfter(world, customer, replica, pull)).toEqual([]);
    if (pending !== undefined) await customer.client.completedExport(pending.id, EXPORT_LIMIT_MS);
  };

  const isTold = async ({ setting, former }: Rotation): Promise<void> => {
    for (const service of USERS[setting]) {
      await waitFor(`${service} to say why ${setting} serves no more`, () =>
        logOf(service).includes('password authentication failed'),
      );
    }
    const { code, lines } = await runCommand(doctorCommand, ['--json'], {
      env: { ...world.env, [setting]: former },
      home: directory,
    });
    expect(code).toBe(1);
    expect(lines.join('\n')).toContain(`correct user and password in ${setting}`);
    const dependency = setting === 'DATABASE_URL' ? 'source' : 'control_store';
    await waitFor(`the metric of ${dependency} to be 0`, async () => {
      const response = await fetch(`${world.apiUrl}/metrics`, {
        headers: { authorization: `Bearer ${world.env.ADMIN_KEY}` },
      });
      return (await response.text()).includes(`tandem_dependency_up{dependency="${dependency}"} 0`);
    });
    const ready = await fetch(`${world.apiUrl}/readyz`);
    // Requests that need no source are served.
    expect([ready.status, (await ready.json()) as object]).toEqual(
      setting === 'DATABASE_URL'
        ? [200, expect.objectContaining({ status: 'ok' })]
        : [503, expect.objectContaining({ checks: expect.objectContaining({ control_store: false }) })],
    );
  };

  await rotate('DATABASE_URL');
  await rotate('CONTROL_DATABASE_URL');
  const last = await createExport(world, customer);
  const loaded = await loadExport(world, customer, last.id);
  expect(
    await differencesAfter(world, customer, loaded, async () => {
      await pullFeed(customer, `after_export=${last.id}`, loaded);
    }),
  ).toEqual([]);
});
