import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Child } from '../../deploy/local/child-group.ts';
import { createChildGroup } from '../../deploy/local/child-group.ts';
import { type LocalPostgres, startPostgres } from '../../deploy/local/postgres.ts';
import { postgresUser, reachableDataDirectory } from '../../deploy/local/postgres-user.ts';

/** A PostgreSQL server of a test's own, which it may crash, stop and start again. Nothing is left of it after disposal. */
export interface OwnPostgres extends AsyncDisposable {
  /** As its superuser. The same after each start. */
  url(database: string): string;
  /** Ends it as a power cut does: nothing more is written, and the next start recovers from the WAL. */
  crash(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Starts it on its port with its data, after `crash` or `stop`. The settings come on top of the first ones. */
  start(settings?: Settings): Promise<void>;
  /** Stops it for as long as its files are copied, and returns a hot standby that streams from it. */
  openStandby(settings?: Settings): Promise<OwnPostgres>;
  /** Where its files are; to be touched only while it is stopped. */
  readonly dataDirectory: string;
}

export type Settings = Readonly<Record<string, string>>;

/** Small, because several may run beside each other. */
const SMALL: Settings = { shared_buffers: '32MB', max_connections: '60', max_wal_size: '1GB' };

const STOP_GRACE_MS = 20_000;

export async function openOwnPostgres(settings: Settings = {}): Promise<OwnPostgres> {
  await using unlessStarted = new AsyncDisposableStack();
  const own = unlessStarted.use(createOwnPostgres(makeHome(), settings));
  await own.start();
  unlessStarted.move();
  return own;
}

function makeHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'tandem-own-postgres-'));
  // The server runs as another user when the tests run as root, and has to get in.
  chmodSync(home, 0o755);
  return home;
}

function createOwnPostgres(home: string, firstSettings: Settings): OwnPostgres {
  const group = createChildGroup(join(home, 'run'));
  const dataDirectory = reachableDataDirectory(home, postgresUser());
  let server: LocalPostgres | undefined;
  let child: Child | undefined;
  const end = async (signal: 'SIGQUIT' | 'SIGINT') => {
    child?.kill(signal);
    await child?.stop(STOP_GRACE_MS);
    child = undefined;
  };
  const own: OwnPostgres = {
    dataDirectory,
    url: (database) => server?.url(database) ?? '',
    crash: () => end('SIGQUIT'),
    stop: () => end('SIGINT'),
    async start(settings = {}) {
      server = await startPostgres({
        home,
        group,
        logPath: join(home, 'postgres.log'),
        databases: [],
        settings: { ...SMALL, ...firstSettings, ...settings },
        ...(server === undefined ? {} : { port: server.port }),
      });
      child = server.child;
    },
    async openStandby(settings = {}) {
      const standbyHome = makeHome();
      await own.stop();
      const standby = createOwnPostgres(standbyHome, {
        ...firstSettings,
        ...settings,
        primary_conninfo: `${own.url('postgres')}?application_name=standby`,
      });
      copyTree(dataDirectory, standby.dataDirectory);
      copyFileSync(join(home, 'postgres-password'), join(standbyHome, 'postgres-password'));
      writeFileSync(join(standby.dataDirectory, 'standby.signal'), '');
      await own.start();
      await standby.start();
      return standby;
    },
    async [Symbol.asyncDispose]() {
      await end('SIGQUIT');
      await group[Symbol.asyncDispose]();
      rmSync(dataDirectory, { recursive: true, force: true });
      rmSync(home, { recursive: true, force: true });
    },
  };
  return own;
}

/** With owners and rights, which PostgreSQL is strict about. */
function copyTree(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`copying ${from}: ${stderr}`);
}
