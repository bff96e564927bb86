import type pg from 'pg';
import { Session } from '../../../shared/postgres/session.ts';
import { SHORT_LOCK_WAITS } from '../../../shared/postgres/short-lock-waits.ts';
import { type Area, describeClock, type Found, ok, warning } from './area.ts';

export interface SessionWish {
  readonly url: string;
  readonly isReplication?: boolean;
  /** PostgreSQL's `-c` options. */
  readonly options?: string;
}

/** A session that gives up by itself, and waits for no lock. */
export async function openSession(
  area: Area,
  { url, isReplication, options = '' }: SessionWish,
): Promise<pg.Client> {
  const config: pg.ClientConfig & { replication?: 'database' } = {
    connectionString: url,
    connectionTimeoutMillis: area.limitMs,
    query_timeout: area.limitMs,
    application_name: 'tandem doctor',
    options: `${SHORT_LOCK_WAITS} -c statement_timeout=${area.limitMs} ${options}`.trim(),
    ...(isReplication ? { replication: 'database' } : {}),
  };
  const client = new Session(config);
  await client.connect();
  return client;
}

/** What to do when a server of PostgreSQL cannot be reached, by the error. */
export function connectFix(setting: string): (error: unknown) => string {
  return (error) => {
    const { code } = error as { code?: unknown };
    switch (code) {
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return `correct the host name in ${setting}, or the DNS of this machine`;
      case 'ECONNREFUSED':
        return `start PostgreSQL, or correct host and port in ${setting}; it must listen on this address (listen_addresses)`;
      case '28P01':
        return `correct user and password in ${setting}`;
      case '28000':
        return 'allow this user, database and address in pg_hba.conf, with or without TLS as sslmode asks for';
      case '3D000':
        return `create the database, or correct its name in ${setting}`;
      case '53300':
        return 'raise max_connections, or end idle sessions';
      default:
        return `check host, port and sslmode in ${setting}, firewalls and security groups between this machine and the server`;
    }
  };
}

/** Services hold some ten connections each. */
const FEW_CONNECTIONS = 30;

/** How many more sessions the server takes, and what its clock says. */
export async function examineServer(area: Area, db: pg.Client): Promise<void> {
  await area.attempt(
    'connections',
    'grant pg_monitor to the role',
    async () => {
      const { rows } = await db.query<{ max: number; used: number }>(
        `select current_setting('max_connections')::int as max, count(*)::int as used from pg_stat_activity`,
      );
      return rows[0] ?? { max: 0, used: 0 };
    },
    ({ max, used }): Found => {
      const detail = `${max - used} of ${max} are free`;
      if (max - used >= FEW_CONNECTIONS) return ok(detail);
      return warning(detail, `raise max_connections: the services open up to some ten sessions each`);
    },
  );
  await area.attempt(
    'clock',
    'check the server',
    async () => {
      const askedAtMs = Date.now();
      const { rows } = await db.query<{ ms: number }>(
        'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
      );
      return { server: rows[0]?.ms ?? 0, askedAtMs, answeredAtMs: Date.now() };
    },
    ({ server, askedAtMs, answeredAtMs }) => describeClock(server, askedAtMs, answeredAtMs),
  );
}
