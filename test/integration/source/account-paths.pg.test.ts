import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createScratchDatabase } from '../../../deploy/local/scratch-database.ts';
import { countsQuery, keysQuery, rowsQuery } from '../../../services/extractor/plan/row-selection.ts';
import { type Application, applyStatement, checkStatement } from '../../../shared/bulk/apply-statement.ts';
import { loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { LEDGER_DDL } from '../../../shared/bulk/ledger.ts';
import { countItems, selectItems } from '../../../shared/bulk/select-items.ts';
import { accountValueSql, ownedSql } from '../../../shared/catalog/account-sql.ts';
import { checkAccountPaths } from '../../../shared/catalog/check-account-paths.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import { findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { testStack } from '../../support/stack.ts';

const SCHEMA = `
  create schema app;
  create table app."Teams" (region int, id int, "orgId" uuid, primary key (region, id));
  create table app.projects (id text primary key, team_region int, team int,
    foreign key (team_region, team) references app."Teams");
  create table app.tags (id bigint primary key, of_type char(8), of_id text);
  create table app.notes (id bigint primary key, project_id text references app.projects, body text);
  insert into app."Teams" select n % 2, n / 2, ('00000000-0000-0000-0000-00000000000' || n % 3)::uuid from generate_series(0, 11) n;
  insert into app."Teams" values (9, 9, null);
  insert into app.projects select 'p' || n, n % 2, n / 2 from generate_series(0, 11) n;
  insert into app.projects values ('nobody', 9, 9), ('none', null, 3);
  insert into app.notes select n, 'p' || n % 12, 'b' from generate_series(0, 99) n;
  insert into app.tags select n, case n % 3 when 0 then 'Project' when 1 then 'project' else 'Note' end,
    case n % 3 when 2 then (n % 100)::text else 'p' || (n / 3) % 12 end from generate_series(0, 99) n;
  insert into app.tags values (100, null, 'p1'), (101, 'Project', null), (102, 'Project', 'none'), (103, 'Project', 'gone');
  insert into app.notes values (100, null), (101, 'nobody'), (102, 'none');
`;

const CATALOG = `
catalog: paths
resources:
  teams: { table: app."Teams", event: team, key: [region, id], account: orgId }
  projects: { table: app.projects, event: project, key: [id], account: { via: [[team_region, team]], to: teams } }
  tags:
    table: app.tags
    event: tag
    key: [id]
    account: { via: of_id, by: of_type, to: { Project: projects } }
  notes:
    table: app.notes
    event: note
    key: [id]
    account: { via: [project_id, [team_region, team]] }
    operations: { update: { set_from_params: [body] } }
`;

const catalog = parseCatalog(CATALOG, 'paths.yaml');
const ACCOUNT = '00000000-0000-0000-0000-000000000001';
/** The account's notes, by the arithmetic of the schema. */
const OWN = Array.from({ length: 100 }, (_, n) => n).filter((n) => (n % 12) % 3 === 1);

const cleanup = new AsyncDisposableStack();
let pool: pg.Pool;
let notes: Resource;

beforeAll(async () => {
  const database = cleanup.use(await createScratchDatabase(testStack().databaseUrl, 'paths'));
  pool = cleanup.adopt(openProductPool({ connectionString: database.url, max: 2 }), (each) => each.end());
  await pool.query(SCHEMA);
  notes = findResource(catalog, 'notes') as Resource;
});
afterAll(() => cleanup.disposeAsync());

const idsOf = (rows: readonly Record<string, unknown>[], column = 'id') =>
  rows.map((row) => Number(row[column]));

test('every statement of an account takes its rows and nobody else’s', async () => {
  const request = {
    resources: ['notes'],
    include_deleted: false,
    include_related: false,
    date_range: null,
    changes_since: null,
    as_of: null,
    max_rows_per_second: null,
  };
  const selection = { resource: notes, request, accountSourceId: ACCOUNT, references: [] };
  const keys = keysQuery(selection);
  expect(idsOf((await pool.query(keys.text, [...keys.values])).rows)).toEqual(OWN);
  const counts = countsQuery([{ selection, limit: 1_000 }]);
  expect((await pool.query(counts.text, [...counts.values])).rows[0]).toEqual({ n0: String(OWN.length) });
  const rows = rowsQuery(selection, ['id', 'body'], { lowerKey: ['10'], upperKey: ['50'] });
  expect(idsOf((await pool.query(rows.text, [...rows.values])).rows)).toEqual(
    OWN.filter((n) => n > 10 && n <= 50),
  );

  const own = (column: string) => `n.${quoteIdent(column)}`;
  const all = await pool.query(
    `select n.id, ${accountValueSql(notes, own)} as account from app.notes n order by 1`,
  );
  expect(idsOf(all.rows.filter(({ account }) => account === ACCOUNT))).toEqual(OWN);
  expect(idsOf(all.rows.filter(({ account }) => account === null))).toEqual([100, 101, 102]);

  const table = await loadBulkTable(pool, notes);
  const filter = parseFilter({ body: { eq: 'b' } }, '');
  const items = selectItems(table, filter, ACCOUNT);
  expect(idsOf((await pool.query(items.text, [...items.values])).rows, 'k1')).toEqual(OWN);
  const count = countItems(table, filter, ACCOUNT);
  expect((await pool.query(count.text, [...count.values])).rows[0]).toEqual({ count: String(OWN.length) });
});

test('a row that refers to a record of its type is that record’s account’s, and of another type nobody’s', async () => {
  const tags = findResource(catalog, 'tags') as Resource;
  const own = (column: string) => `t.${quoteIdent(column)}`;
  const { rows } = await pool.query(
    `select t.id, ${ownedSql(tags, own, (column) => `${column} = $1`)} as is_own, ${accountValueSql(tags, own)} as account
     from app.tags t order by 1`,
    [ACCOUNT],
  );
  const wanted = Array.from({ length: 100 }, (_, n) => n).filter(
    (n) => n % 3 === 0 && ((n / 3) % 12) % 3 === 1,
  );
  const typed = Array.from({ length: 100 }, (_, n) => n).filter((n) => n % 3 === 0);
  expect(idsOf(rows.filter(({ is_own: isOwn }) => isOwn))).toEqual(wanted);
  expect(idsOf(rows.filter(({ account }) => account === ACCOUNT))).toEqual(wanted);
  expect(idsOf(rows.filter(({ account }) => account !== null))).toEqual(typed);
  const table = await loadBulkTable(pool, tags);
  const items = selectItems(table, parseFilter({ of_type: { eq: 'Project' } }, ''), ACCOUNT);
  expect(idsOf((await pool.query(items.text, [...items.values])).rows, 'k1')).toEqual(wanted);
});

test('a bulk operation changes no row of another account, and none of nobody', async () => {
  await pool.query(LEDGER_DDL.join('; '));
  const table = await loadBulkTable(pool, notes);
  const application: Application = {
    jobId: 'blk_paths',
    table,
    operation: { kind: 'set', set: {}, fromParams: ['body'], skipWhen: {} },
    params: { body: 'changed' },
    liveFilter: undefined,
    sourceId: ACCOUNT,
  };
  const numbered = Array.from({ length: 103 }, (_, seq) => ({
    seq,
    itemId: `${seq}`,
    key: [`${seq}`],
    line: null,
  }));
  const check = checkStatement(application, numbered);
  const checked = await pool.query<{ seq: string; code: string | null }>(check.text, [...check.values]);
  expect(
    idsOf(
      checked.rows.filter(({ code }) => code !== 'not_found'),
      'seq',
    ).toSorted((a, b) => a - b),
  ).toEqual(OWN);
  const apply = applyStatement(application, numbered, true, 'key');
  await pool.query(apply.text, [...apply.values]);
  const { rows } = await pool.query(`select id from app.notes where body = 'changed' order by id`);
  expect(idsOf(rows)).toEqual(OWN);
});

test('a path over values without one text is refused by name, and needs no foreign key', async () => {
  await pool.query('alter table app.notes drop constraint notes_project_id_fkey');
  expect(await checkAccountPaths(pool, catalog)).toEqual([]);
  const messages = async () =>
    (await checkAccountPaths(pool, catalog)).map(({ resource, message }) => `${resource}: ${message}`);
  await pool.query('alter table app.notes alter project_id type varchar(9)');
  expect(await messages()).toEqual([]);
  await pool.query('alter table app.notes alter project_id type char(9)');
  expect(await messages()).toEqual([
    expect.stringMatching(
      /^notes: project_id is character\(9\), and projects\.id, which it refers to, is text/,
    ),
  ]);
  await pool.query(
    `alter table app.projects drop constraint projects_team_region_team_fkey, alter team type bigint, alter team_region type text`,
  );
  expect((await messages()).filter((each) => each.startsWith('projects'))).toEqual([
    expect.stringMatching(
      /^projects: team_region is text, and teams\.region, which it refers to, is integer/,
    ),
  ]);
  await pool.query(`create collation app.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    alter table app.projects alter team_region type int using 0;
    alter table app.notes alter project_id type text collate app.loose;
    alter table app.projects alter id type text collate app.loose`);
  expect(await messages()).toEqual([
    expect.stringMatching(/^tags: projects\.id, by which .* nondeterministic collation/),
    expect.stringMatching(/^notes: project_id, by which .* nondeterministic collation/),
    expect.stringMatching(/^notes: projects\.id, by which .* nondeterministic collation/),
  ]);
});
