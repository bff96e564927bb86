import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { showTable } from '../../../shared/catalog/parse-table-name.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { draftCatalog } from '../catalog-draft/draft-catalog.ts';
import { printDraft } from '../catalog-draft/print-draft.ts';
import { readTables } from '../catalog-draft/read-tables.ts';
import type { Command } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

/** Reads only the server's own catalog, so it is safe on a production source. */
export const catalogInitCommand: Command = {
  name: 'catalog init',
  summary: "write a first draft of a catalog from a database's tables and foreign keys",
  help: `Reads DATABASE_URL. Keys, account, soft delete, range and related resources are guessed; the file says what to check.

  --output <path>    where to (default catalog.yaml)
  --schema <names>   only these schemas, with commas between (default all)
  --force            overwrite the file if it is there`,
  async run(args, { env, say }) {
    const { values } = parseArgs({
      args,
      options: {
        output: { type: 'string', default: 'catalog.yaml' },
        schema: { type: 'string' },
        force: { type: 'boolean', default: false },
      },
    });
    const path = resolve(values.output);
    // Before the database is asked, though it is made sure of when the file is written.
    if (existsSync(path) && !values.force) throw alreadyThere(path);
    const schemas = values.schema
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    const draft = await withSource(readSourceSettings(env).databaseUrl, async (db) =>
      draftCatalog(await readTables(db, schemas), db.database ?? 'catalog'),
    );
    for (const { table, reason } of draft.leftOut) say(`- left out ${showTable(table)}: ${reason}`);
    if (draft.resources.length === 0) {
      throw new SetupError(
        'no table can be a resource as it is: each needs a key, and a column that says whose a row is',
      );
    }
    const text = printDraft(draft);
    parseCatalog(text, basename(path));
    await write(path, text, values.force);
    say(`wrote ${draft.resources.length} resources to ${path}; look through it, then run:`);
    say(`CATALOG=${values.output} tandem catalog check`);
    return 0;
  },
};

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
