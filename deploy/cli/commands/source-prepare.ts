import { Option } from 'commander';
import { showFinding } from '../../../shared/catalog/finding.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { IdentityWish } from '../../../shared/catalog/replica-identity.ts';
import type { Command, CommandContext } from '../command.ts';
import { adviseIdentities } from '../identity-advice.ts';
import { prepareSource, reviewPreparation } from '../prepare-source.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

const WISHES: readonly IdentityWish[] = ['auto', 'index', 'full'];

/** Run once by whoever may alter the tables; repeating it does nothing. */
export const sourcePrepareCommand: Command = {
  name: 'source prepare',
  summary: 'make the source ready: replica identities, publication, slot',
  notes: 'Reads CATALOG, DATABASE_URL, PUBLICATION_NAME and SLOT_NAME.',
  declare(program, perform) {
    program
      .option(
        '--print',
        'only print the SQL, for someone else to run; also while rights or settings are missing',
        false,
      )
      .addOption(
        new Option(
          '--identity <kind>',
          "what the WAL says of an old row: auto (by the catalog's as_of, else whole rows where they are narrow), " +
            'index (one is made where there is none; it writes no large values again), full (whole rows, which as_of needs)',
        )
          .choices(WISHES)
          .default('auto'),
      )
      .action((options: PrepareOptions) => perform((context) => prepare(options, context)));
  },
};

interface PrepareOptions {
  readonly print: boolean;
  readonly identity: IdentityWish;
}

async function prepare({ print, identity }: PrepareOptions, { env, say }: CommandContext): Promise<number> {
  const settings = readSourceSettings(env);
  const catalog = await loadCatalog(settings.catalogPath);
  const names = { publication: settings.publication, slot: settings.slot };
  return withSource(settings.databaseUrl, async (db) => {
    if (print) {
      const { statements, blocking } = await reviewPreparation(db, catalog, names, identity);
      for (const finding of blocking) say(`-- first: ${showFinding(finding)}`);
      for (const statement of statements) say(`${statement};`);
      if (statements.length + blocking.length === 0) say('-- nothing to do: the source is prepared');
      for (const line of await adviseIdentities(db, catalog, statements)) say(`-- ${line}`);
      return blocking.length === 0 ? 0 : 1;
    }
    const statements = await prepareSource(db, catalog, names, {
      identity,
      onLongStatement: (statement) =>
        say(
          `-- this takes as long as the table is large, and waits for transactions that are open: ${statement}`,
        ),
    });
    for (const statement of statements) say(`${statement};`);
    if (statements.length === 0) say('nothing to do: the source is prepared');
    for (const line of await adviseIdentities(db, catalog, [])) say(`-- ${line}`);
    return 0;
  });
}
