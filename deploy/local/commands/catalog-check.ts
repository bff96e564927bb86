import { parseArgs } from 'node:util';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { findEncodingWarnings } from '../../../shared/catalog/check-encoding.ts';
import { showFinding } from '../../../shared/catalog/finding.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Command } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

/** Reads only, so it is safe on a production source. */
export const catalogCheckCommand: Command = {
  name: 'catalog check',
  summary: 'check the catalog, and compare it with the source',
  help: `Reads CATALOG, DATABASE_URL and PUBLICATION_NAME. Exits 1 and lists what has to change, with the SQL that does it.`,
  async run(args, { env, say }) {
    parseArgs({ args, options: {} });
    const settings = readSourceSettings(env);
    const catalog = await loadCatalog(settings.catalogPath);
    const { findings, warnings } = await withSource(settings.databaseUrl, async (db) => ({
      findings: await checkCatalog(db, catalog, { publication: settings.publication }),
      warnings: await findEncodingWarnings(db),
    }));
    for (const warning of warnings) say(`- warning: ${warning}`);
    for (const finding of findings) say(`- ${showFinding(finding)}`);
    if (findings.length === 0)
      say(`the catalog ${catalog.name} fits the source: ${catalog.resources.length} resources`);
    return findings.length === 0 ? 0 : 1;
  },
};
