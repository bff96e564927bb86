import { parseArgs } from 'node:util';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { planPreparation, prepareSource } from '../../../shared/catalog/prepare-source.ts';
import type { Command } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

/** Run once by whoever may alter the tables; repeating it does nothing. */
export const sourcePrepareCommand: Command = {
  name: 'source prepare',
  summary: 'make the source ready: replica identities, publication, slot',
  help: `Reads CATALOG, DATABASE_URL, PUBLICATION_NAME and SLOT_NAME.

  --print   only print the SQL, for someone else to run`,
  async run(args, { env, say }) {
    const { values } = parseArgs({ args, options: { print: { type: 'boolean', default: false } } });
    const settings = readSourceSettings(env);
    const catalog = await loadCatalog(settings.catalogPath);
    const names = { publication: settings.publication, slot: settings.slot };
    const statements = await withSource(settings.databaseUrl, (db) =>
      values.print ? planPreparation(db, catalog, names) : prepareSource(db, catalog, names),
    );
    for (const statement of statements) say(`${statement};`);
    if (statements.length === 0) say('nothing to do: the source is prepared');
    return 0;
  },
};
