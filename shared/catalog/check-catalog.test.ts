import type { QueryResult, QueryResultRow } from 'pg';
import { expect, test } from 'vitest';
import type { Catalog } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { checkCatalog } from './check-catalog.ts';
import type { ServerDescription } from './describe-source.ts';
import { showFinding } from './finding.ts';

const EMPTY: Catalog = { name: 'shop', resources: [] };

/** Answers the description of the server; every other question finds nothing. */
function serverLike(overrides: Partial<ServerDescription>): Queryable & { questions: string[] } {
  const server = {
    versionNumber: 170_002,
    walLevel: 'logical',
    isInRecovery: false,
    role: 'tandem',
    database: 'shop',
    ...overrides,
  };
  const questions: string[] = [];
  return {
    questions,
    async query<Row extends QueryResultRow>(query: unknown) {
      questions.push(String(query));
      const rows = String(query).includes('wal_level') ? [{ facts: JSON.stringify(server) }] : [];
      return {
        rows,
        rowCount: rows.length,
        command: 'SELECT',
        oid: 0,
        fields: [],
      } as unknown as QueryResult<Row>;
    },
  };
}

test('a server that suits has no findings', async () => {
  expect(await checkCatalog(serverLike({}), EMPTY)).toEqual([]);
});

test('a hot standby and a WAL without changes are refused with what to do', async () => {
  const findings = await checkCatalog(serverLike({ isInRecovery: true, walLevel: 'replica' }), EMPTY);
  expect(findings.map(showFinding)).toEqual([
    expect.stringContaining('connect to the primary'),
    expect.stringMatching(/wal_level is replica.* Run: ALTER SYSTEM SET wal_level = logical;$/),
  ]);
});

test('a server that is too old is asked nothing that it would not understand', async () => {
  const db = serverLike({ versionNumber: 140_011 });
  const findings = await checkCatalog(db, EMPTY, { publication: 'feed' });
  expect(findings.map(({ message }) => message)).toEqual([
    'the source is PostgreSQL 14.11; 15 or newer is needed.',
  ]);
  expect(db.questions).toHaveLength(1);
});
