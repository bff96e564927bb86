import type { Catalog } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { retryWhileLocked } from '../postgres/short-lock-waits.ts';
import { checkAccounts, readAccountColumns } from './account-columns.ts';
import { checkAccountPaths } from './check-account-paths.ts';
import { checkTable } from './check-table.ts';
import { checkWhere } from './check-where.ts';
import {
  describePublication,
  describeServer,
  type PublicationDescription,
  type ServerDescription,
} from './describe-source.ts';
import { describeTables, findTable } from './describe-table.ts';
import type { Finding } from './finding.ts';
import { showTable } from './parse-table-name.ts';
import { hasRightOptions, planPublication, publishes } from './publication-plan.ts';
import { type IdentityWish, resolveWishes } from './replica-identity.ts';

/** Publications have had column lists, row filters and whole schemas, which must be seen to be refused, since 15. */
const MIN_VERSION_NUMBER = 150_000;

/**
 * Compares the catalog with the live database and returns everything that would make exports or the feed wrong,
 * each with its remedy; an empty list when all is well. Reads only, and outside of a transaction. Without a publication's name,
 * what concerns streaming from it is not looked at.
 */
export async function checkCatalog(
  given: Queryable,
  catalog: Catalog,
  options: { readonly publication?: string; readonly identity?: IdentityWish } = {},
): Promise<Finding[]> {
  const db = retryWhileLocked(given);
  const server = await describeServer(db);
  const findings = checkServer(server);
  // The statements below would themselves fail on an older server, and say less.
  if (server.versionNumber < MIN_VERSION_NUMBER) return findings;
  const tables = await describeTables(
    db,
    catalog.resources.map(({ table }) => table),
  );
  const wishes = await resolveWishes(db, catalog.resources, tables, options.identity ?? 'auto');
  for (const resource of catalog.resources) {
    const wish = wishes.get(resource.name);
    findings.push(
      ...checkTable(resource, findTable(tables, resource.table), { ...server, ...(wish && { wish }) }),
    );
  }
  findings.push(...checkAccounts(await readAccountColumns(db, catalog)));
  findings.push(...(await checkAccountPaths(db, catalog)));
  findings.push(...(await checkWhere(db, catalog)));
  if (options.publication !== undefined) {
    const publication = await describePublication(db, options.publication);
    findings.push(...checkPublication(options.publication, publication, catalog));
  }
  return findings;
}

function checkServer({ versionNumber, isInRecovery, walLevel }: ServerDescription): Finding[] {
  const findings: Finding[] = [];
  if (versionNumber < MIN_VERSION_NUMBER) {
    const version = `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`;
    findings.push({
      code: 'server_too_old',
      resource: undefined,
      message: `the source is PostgreSQL ${version}; 15 or newer is needed.`,
    });
  }
  if (isInRecovery) {
    findings.push({
      code: 'hot_standby',
      resource: undefined,
      message:
        'the source is a hot standby, whose snapshots do not say which transactions are open: connect to the primary.',
    });
  }
  if (walLevel !== 'logical') {
    findings.push({
      code: 'wal_level',
      resource: undefined,
      message:
        `wal_level is ${walLevel}, so changes can't be read from the WAL. Set it to logical and restart the server ` +
        '(a managed server has a parameter for it, often rds.logical_replication or cloudsql.logical_decoding).',
      sql: 'ALTER SYSTEM SET wal_level = logical',
    });
  }
  return findings;
}

function checkPublication(
  name: string,
  current: PublicationDescription | undefined,
  catalog: Catalog,
): Finding[] {
  if (current?.isForAllTables === true) {
    return [
      {
        code: 'publication',
        resource: undefined,
        message:
          `the publication ${name} is for all tables of the database, hidden ones too: ` +
          'choose another name for Tandem to create, or drop it.',
      },
    ];
  }
  const plan = planPublication(
    name,
    current,
    catalog.resources.map(({ table }) => table),
  );
  if (current === undefined)
    return plan.map((sql) => publicationFinding(`the publication ${name} does not exist.`, sql));
  const missing = catalog.resources.filter(({ table }) => !publishes(current, table));
  const findings: Finding[] = missing.map(({ name: resource, table }) => ({
    ...publicationFinding(`the publication ${name} does not hold ${showTable(table)} as a whole.`, plan[0]),
    resource,
  }));
  if (!hasRightOptions(current)) {
    const message =
      `the publication ${name} leaves changes out: it must publish insert, update, delete and truncate, ` +
      'those of partitions through their root, and no generated columns.';
    findings.push(publicationFinding(message, plan.at(-1)));
  }
  return findings;
}

function publicationFinding(message: string, sql: string | undefined): Finding {
  return { code: 'publication', resource: undefined, message, ...(sql === undefined ? {} : { sql }) };
}
