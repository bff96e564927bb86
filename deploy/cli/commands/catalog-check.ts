import type pg from 'pg';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { type Finding, showFinding } from '../../../shared/catalog/finding.ts';
import { readKeyLimits } from '../../../shared/catalog/key-limits.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { tryWrites } from '../../../shared/catalog/try-writes.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Command, CommandContext } from '../command.ts';
import { adviseIdentities } from '../identity-advice.ts';
import { readSourceSettings, type SourceSettings, withSource } from '../source-settings.ts';

/** Reads only, so it is safe on a production source. */
export const catalogCheckCommand: Command = {
  name: 'catalog check',
  summary: 'check the catalog, and compare it with the source',
  notes:
    'Reads CATALOG, DATABASE_URL and PUBLICATION_NAME. Exits 1 and lists what has to change, with the SQL that does it.',
  declare(program, perform) {
    program
      .option('--json', 'print one JSON object instead of lines', false)
      .action(({ json }: { json: boolean }) => perform((context) => check(context, json)));
  },
};

async function check({ env, say }: CommandContext, asJson: boolean): Promise<number> {
  const settings = readSourceSettings(env);
  const catalog = await loadCatalog(settings.catalogPath);
  const result = await withSource(settings.databaseUrl, (db) => examine(db, catalog, settings));
  if (asJson) say(JSON.stringify({ catalog: catalog.name, ...result }));
  else for (const line of describe(result, catalog)) say(line);
  return result.fits ? 0 : 1;
}

interface Examination {
  readonly fits: boolean;
  readonly findings: readonly Finding[];
  /** Writes of the product that the source refuses as it is, each with its error. */
  readonly refused: readonly string[];
  /** Resources on which no write was tried, for want of a right. */
  readonly untried: readonly string[];
  readonly advice: readonly string[];
}

async function examine(
  db: pg.Client,
  catalog: Catalog,
  { publication }: SourceSettings,
): Promise<Examination> {
  const findings = await checkCatalog(db, catalog, { publication });
  const isMissing = findings.some(({ code }) =>
    ['server_too_old', 'missing_table', 'missing_column'].includes(code),
  );
  const { refused, untried } = isMissing ? { refused: [], untried: [] } : await tryWrites(db, catalog);
  const fits = findings.length + refused.length === 0;
  const advice = fits
    ? [...(await readKeyLimits(db, catalog)), ...(await adviseIdentities(db, catalog, []))]
    : [];
  return { fits, findings, refused, untried, advice };
}

function describe({ fits, findings, refused, untried, advice }: Examination, catalog: Catalog): string[] {
  return [
    ...findings.map((finding) => `- ${showFinding(finding)}`),
    ...refused.map((line) => `- ${line} (the product's own UPDATE and DELETE are refused as it is)`),
    ...(untried.length === 0
      ? []
      : [
          `not checked, because this role may not update there: whether the product's writes pass on ${untried.join(', ')}`,
        ]),
    ...advice,
    ...(fits ? [`the catalog ${catalog.name} fits the source: ${catalog.resources.length} resources`] : []),
  ];
}
