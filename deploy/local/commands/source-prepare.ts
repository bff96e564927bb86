import { parseArgs } from 'node:util';
import { describeTables, findTable } from '../../../shared/catalog/describe-table.ts';
import { showFinding } from '../../../shared/catalog/finding.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { prepareSource, reviewPreparation } from '../../../shared/catalog/prepare-source.ts';
import { findCheaperIdentity, type IdentityWish } from '../../../shared/catalog/replica-identity.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Command } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

const WISHES: readonly IdentityWish[] = ['auto', 'index', 'full'];

/** What was measured on an update of one small column of a row with 20 kB of text. */
const FULL_BYTES = '20,757';
const INDEX_BYTES = '497';

/** Run once by whoever may alter the tables; repeating it does nothing. */
export const sourcePrepareCommand: Command = {
  name: 'source prepare',
  summary: 'make the source ready: replica identities, publication, slot',
  help: `Reads CATALOG, DATABASE_URL, PUBLICATION_NAME and SLOT_NAME.

  --print            only print the SQL, for someone else to run; also while rights or settings are missing
  --identity <kind>  what the WAL says of an old row: auto (an index that is there, else the whole row), index (one is made where
                     there is none, which writes no large values again), full (the whole row, which as_of can always go back by)`,
  async run(args, { env, say }) {
    const { values } = parseArgs({
      args,
      options: {
        print: { type: 'boolean', default: false },
        identity: { type: 'string', default: 'auto' },
      },
    });
    const identity = WISHES.find((wish) => wish === values.identity);
    if (identity === undefined)
      throw new SetupError(`--identity must be one of ${WISHES.join(', ')}, not "${values.identity}"`);
    const settings = readSourceSettings(env);
    const catalog = await loadCatalog(settings.catalogPath);
    const names = { publication: settings.publication, slot: settings.slot };
    return withSource(settings.databaseUrl, async (db) => {
      if (values.print) {
        const { statements, blocking } = await reviewPreparation(db, catalog, names, identity);
        for (const finding of blocking) say(`-- first: ${showFinding(finding)}`);
        for (const statement of statements) say(`${statement};`);
        if (statements.length + blocking.length === 0) say('-- nothing to do: the source is prepared');
        for (const line of await adviseIdentities(db, catalog, statements)) say(line);
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
      for (const line of await adviseIdentities(db, catalog, [])) say(line);
      return 0;
    });
  },
};

/** What the tables' identities cost, and how they could cost less, as comments of SQL. */
async function adviseIdentities(
  db: Queryable,
  catalog: Catalog,
  planned: readonly string[],
): Promise<string[]> {
  const tables = await describeTables(
    db,
    catalog.resources.map(({ table }) => table),
  );
  const cheaper = catalog.resources.flatMap((resource) => {
    const table = findTable(tables, resource.table);
    if (table === undefined) return [];
    const isPlannedFull = (name: string) =>
      planned.some((each) => each.includes(`.${JSON.stringify(name)} `) && each.endsWith('IDENTITY FULL'));
    const relations = table.relations.map((relation) =>
      isPlannedFull(relation.name) ? { ...relation, replicaIdentity: 'f' } : relation,
    );
    return findCheaperIdentity(resource, { ...table, relations }) ?? [];
  });
  if (cheaper.length === 0) return [];
  return [
    '--',
    `-- REPLICA IDENTITY FULL writes the whole old row at each UPDATE and DELETE: of a row with 20 kB of text ${FULL_BYTES} bytes of WAL`,
    `-- in place of ${INDEX_BYTES}. An index over key and account is enough for exports, the feed and changes_since. Only FULL has`,
    '-- `previous` in events, as_of back beyond the first event of a record (else record_not_known), and `created` for a record',
    '-- that is restored after a soft delete (else `updated`). To change to an index (or: source prepare --identity index):',
    ...cheaper.map((statement) => `--   ${statement};`),
  ];
}
