import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { grantsFor, type Purpose } from '../../shared/bulk/role-rights.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { quoteIdent } from '../../shared/postgres/quote.ts';

/** Which role each service that reads the source has. */
const SERVICES = { extractor: 'read', capture: 'stream', api: 'change', bulk: 'change' } as const;

export interface LeastRoles extends AsyncDisposable {
  /** Grants the roles what their purpose takes. @returns the source's URL by service, each with its role */
  rolesOf(sourceUrl: string, catalog: Catalog): Promise<Record<keyof typeof SERVICES, string>>;
}

/** Three roles that own nothing. They go when their rights have gone, which is with their databases. */
export async function createLeastRoles(serverUrl: string): Promise<LeastRoles> {
  const name = `least_${randomBytes(5).toString('hex')}`;
  const roleFor = (purpose: Purpose) => `${name}_${purpose}`;
  const purposes = [...new Set(Object.values(SERVICES))];
  const run = async (url: string, statements: readonly string[]) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  const roles = purposes.map((purpose) => quoteIdent(roleFor(purpose)));
  await run(
    serverUrl,
    roles.map((role) => `create role ${role} login password 'least-rights'`),
  );
  return {
    async rolesOf(sourceUrl, catalog) {
      await run(
        sourceUrl,
        purposes.flatMap((purpose) => grantsFor(catalog, purpose, roleFor(purpose))),
      );
      const urlFor = (purpose: Purpose) => {
        const url = new URL(sourceUrl);
        url.username = roleFor(purpose);
        url.password = 'least-rights';
        return url.href;
      };
      const urls = Object.entries(SERVICES).map(([service, purpose]) => [service, urlFor(purpose)]);
      return Object.fromEntries(urls) as Record<keyof typeof SERVICES, string>;
    },
    [Symbol.asyncDispose]: () => run(serverUrl, [`drop role ${roles.join(', ')}`]),
  };
}
