import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface ScratchDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
  /** Ends its sessions, drops its slots and itself. Safe to call twice. */
  drop(): Promise<void>;
}

export interface ScratchOptions {
  /** By default the server's own. */
  readonly encoding?: string | undefined;
  /** A database of the server that nobody is connected to, to begin as a copy of it instead of empty. */
  readonly template?: string | undefined;
}

/** A database of its own on the server of `serverUrl`. `label` makes it recognisable in a server's log. */
export async function createScratchDatabase(
  serverUrl: string,
  label: string,
  { encoding, template }: ScratchOptions = {},
): Promise<ScratchDatabase> {
  const name = `${label.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')}_${randomBytes(5).toString('hex')}`;
  await withAdmin(serverUrl, (admin) => {
    const inEncoding = encoding && ` ENCODING ${admin.escapeLiteral(encoding)} LOCALE 'C' TEMPLATE template0`;
    const ofTemplate = template && ` TEMPLATE ${admin.escapeIdentifier(template)}`;
    return admin.query(`CREATE DATABASE ${admin.escapeIdentifier(name)}${inEncoding ?? ofTemplate ?? ''}`);
  });
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const drop = () => withAdmin(serverUrl, (admin) => dropDatabase(admin, name));
  return { url: url.href, name, drop, [Symbol.asyncDispose]: drop };
}

/**
 * A database with a slot in use can't be dropped, and a slot is in use until its WAL sender has noticed
 * that it was told to end, so this goes on until no slot is left.
 */
async function dropDatabase(admin: pg.Client, name: string): Promise<void> {
  await admin.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I ALLOW_CONNECTIONS false', ${admin.escapeLiteral(name)}::text);
     EXCEPTION WHEN invalid_catalog_name THEN NULL; END $$`,
  );
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const { rows } = await admin.query<{ slot_name: string; active_pid: number | null }>(
      'SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = $1',
      [name],
    );
    if (rows.length === 0) break;
    await admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.active_pid]);
    await admin.query(
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active',
      [name],
    );
    await admin.query('SELECT pg_sleep(0.05)');
  }
  await admin.query(`DROP DATABASE IF EXISTS ${admin.escapeIdentifier(name)} WITH (FORCE)`);
}

async function withAdmin(url: string, run: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    await run(admin);
  } finally {
    await admin.end();
  }
}
