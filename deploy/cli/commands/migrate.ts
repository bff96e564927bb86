import type pg from 'pg';
import {
  MIGRATE_COMMAND,
  type MigrationStatus,
  migrate,
  readMigrationStatus,
} from '../../../shared/control/migrate.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import type { Env } from '../../../shared/runtime/env.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import type { Command, CommandContext } from '../command.ts';

const WHERE = 'Uses the Tandem that runs here, or else CONTROL_DATABASE_URL or DATABASE_URL.';

/** For operators whose services may not change the schema (`CONTROL_MIGRATIONS=check`). Reads only. */
export const migrateStatusCommand: Command = {
  name: 'migrate status',
  summary: 'show which migrations the control store has, and which it lacks',
  notes: `Exits 0 when the control store is up to date, 1 when it lacks migrations, 2 when it cannot be used.
${WHERE}`,
  declare(program, perform) {
    program
      .option('--json', 'print one JSON object instead of lines')
      .action(({ json }: { json?: true }) => perform((context) => showStatus(context, json === true)));
  },
};

/** What a service does at its start with `CONTROL_MIGRATIONS=apply`. Safe to repeat, also while services run. */
export const migrateApplyCommand: Command = {
  name: 'migrate apply',
  summary: 'apply the migrations that the control store lacks',
  notes: `Needs a role that may create the schema \`tandem\` and owns it. Safe to repeat, also while services run.
${WHERE}`,
  declare(program, perform) {
    program.action(() => perform(applyMissing));
  },
};

async function showStatus({ env, home, say }: CommandContext, asJson: boolean): Promise<number> {
  const status = await withControlStore(env, home, (pool) => readMigrationStatus(pool));
  if (asJson) say(JSON.stringify(toJson(status)));
  else for (const line of describe(status)) say(line);
  return status.pending.length === 0 ? 0 : 1;
}

async function applyMissing({ env, home, say }: CommandContext): Promise<number> {
  const names = await withControlStore(env, home, (pool) => migrate(pool));
  for (const name of names) say(`applied      ${name}`);
  say('the control store is up to date');
  return 0;
}

function toJson({ applied, pending, newer }: MigrationStatus): unknown {
  return {
    applied: applied.map(({ name, appliedAt }) => ({ name, applied_at: appliedAt.toISOString() })),
    pending,
    newer,
  };
}

function describe({ applied, pending, newer }: MigrationStatus): string[] {
  return [
    ...applied.map(({ name, appliedAt }) => `applied      ${name}, ${appliedAt.toISOString()}`),
    ...newer.map((name) => `newer        ${name}, applied by a newer release`),
    ...pending.map((name) => `pending      ${name}`),
    pending.length === 0
      ? 'the control store is up to date'
      : `the control store lacks ${pending.length} of ${applied.length + pending.length} migrations: run \`${MIGRATE_COMMAND}\``,
  ];
}

async function withControlStore<T>(env: Env, home: string, work: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const all: Env = { ...findRunningTandem(home)?.parts, ...set };
  const url = all.CONTROL_DATABASE_URL ?? all.DATABASE_URL;
  if (url === undefined) {
    throw new SetupError(
      'CONTROL_DATABASE_URL is not set: it names the control store, postgres://user:password@host:5432/database',
    );
  }
  await using cleanup = new AsyncDisposableStack();
  const pool = cleanup.adopt(
    createControlPool(url, silentLog, { applicationName: 'tandem command', max: 1 }),
    (one) => one.end(),
  );
  try {
    await pool.query('select');
  } catch (cause) {
    throw new SetupError(`the control store can't be reached: ${(cause as Error).message}`);
  }
  return await work(pool);
}
