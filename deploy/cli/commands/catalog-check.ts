import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { showFinding } from '../../../shared/catalog/finding.ts';
import { readKeyLimits } from '../../../shared/catalog/key-limits.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { tryWrites } from '../../../shared/catalog/try-writes.ts';
import type { Command, CommandContext } from '../command.ts';
import { adviseIdentities } from '../identity-advice.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

/** Reads only, so it is safe on a production source. */
export const catalogCheckCommand: Command = {
  name: 'catalog check',
  summary: 'check the catalog, and compare it with the source',
  notes:
    'Reads CATALOG, DATABASE_URL and PUBLICATION_NAME. Exits 1 and lists what has to change, with the SQL that does it.',
  declare(program, perform) {
    program.action(() => perform(check));
  },
};

async function check({ env, say }: CommandContext): Promise<number> {
  const settings = readSourceSettings(env);
  const catalog = await loadCatalog(settings.catalogPath);
  return withSource(settings.databaseUrl, async (db) => {
    const findings = await checkCatalog(db, catalog, { publication: settings.publication });
    for (const finding of findings) say(`- ${showFinding(finding)}`);
    const isMissing = findings.some(({ code }) =>
      ['server_too_old', 'missing_table', 'missing_column'].includes(code),
    );
    const { refused, untried } = isMissing ? { refused: [], untried: [] } : await tryWrites(db, catalog);
    for (const line of refused) say(`- ${line} (the product's own UPDATE and DELETE are refused as it is)`);
    if (untried.length > 0) {
      say(
        `not checked, because this role may not update there: whether the product's writes pass on ${untried.join(', ')}`,
      );
    }
    if (findings.length + refused.length > 0) return 1;
    for (const line of await readKeyLimits(db, catalog)) say(line);
    for (const line of await adviseIdentities(db, catalog, [])) say(line);
    say(`the catalog ${catalog.name} fits the source: ${catalog.resources.length} resources`);
    return 0;
  });
}
