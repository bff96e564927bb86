import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { showTable } from '../../../shared/catalog/parse-table-name.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { type CatalogDraft, draftCatalog } from '../catalog-draft/draft-catalog.ts';
import { leftOutLines } from '../catalog-draft/left-out.ts';
import { printDraft } from '../catalog-draft/print-draft.ts';
import { readTables } from '../catalog-draft/read-tables.ts';
import type { Command, CommandContext } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

/** Reads only the server's own catalog, so it is safe on a production source. */
export const catalogInitCommand: Command = {
  name: 'catalog init',
  summary: "write a first draft of a catalog from a database's tables and foreign keys",
  notes:
    'Reads DATABASE_URL. Keys, account, soft delete, range and related resources are guessed; the file says what to check.',
  declare(program, perform) {
    program
      .option('--output <path>', 'where to write it', 'catalog.yaml')
      .option('--schema <names>', 'only these schemas, with commas between (default: all)')
      .option(
        '--account <names>',
        'the columns that say whose a row is, in order of preference: organisationId,tenant_id',
      )
      .option('--force', 'overwrite the file if it is there', false)
      .action((values: InitOptions) => perform((context) => initCatalog(values, context)));
  },
};

interface InitOptions {
  readonly output: string;
  readonly schema?: string;
  readonly account?: string;
  readonly force: boolean;
}

async function initCatalog(values: InitOptions, { env, say }: CommandContext): Promise<number> {
  const path = resolve(values.output);
  // Before the database is asked, though it is made sure of when the file is written.
  if (existsSync(path) && !values.force) throw alreadyThere(path);
  const accountColumns = namesIn(values.account);
  const draft = await withSource(readSourceSettings(env).databaseUrl, async (db) =>
    draftCatalog(await readTables(db, namesIn(values.schema)), db.database ?? 'catalog', accountColumns),
  );
  assertNamed(draft.unknownColumns);
  if (draft.leftOut.length > 0) say(`left out ${draft.leftOut.length} of ${draft.tableCount} tables:`);
  for (const line of leftOutLines(draft.leftOut)) say(line.startsWith(' ') ? line : `- ${line}`);
  if (draft.resources.length === 0) throw noResource(draft);
  const text = printDraft(draft);
  parseCatalog(text, basename(path));
  await write(path, text, values.force);
  say(`wrote ${draft.resources.length} resources to ${path}; review it, then run:`);
  say(`CATALOG=${values.output} tandem catalog check`);
  return 0;
}

function namesIn(list: string | undefined): string[] | undefined {
  return list
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function assertNamed(unknown: readonly string[]): void {
  if (unknown.length === 0) return;
  throw new SetupError(`no table has a column ${unknown.join(' or ')}, which --account names`);
}

function noResource({ root, rootGuesses }: CatalogDraft): SetupError {
  const why =
    root === undefined
      ? 'no column says for certain which customer a row belongs to'
      : `no table with ${root.names.join(' or ')} can be a resource as it is`;
  return new SetupError(
    `${why}: name the columns that do with --account`,
    rootGuesses.map(
      ({ table, column, tableCount }) =>
        `${tableCount} tables refer to ${showTable(table)}; if each of its rows is a customer: --account ${column}`,
    ),
  );
}

async function write(path: string, text: string, isForced: boolean): Promise<void> {
  if (!isForced) {
    try {
      await writeFile(path, text, { flag: 'wx' });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'EEXIST') throw alreadyThere(path);
      throw new SetupError(`${path} can't be written (${code})`);
    }
    return;
  }
  // Whole or not at all: the file that was there is somebody's work until the new one stands.
  const temporary = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(temporary, text, { flag: 'wx' });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new SetupError(`${path} can't be written (${(cause as NodeJS.ErrnoException).code})`);
  }
}

function alreadyThere(path: string): SetupError {
  return new SetupError(`${path} is there already: give another --output, or --force to overwrite it`);
}
