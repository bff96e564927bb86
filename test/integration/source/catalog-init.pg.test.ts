import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { catalogInitCommand } from '../../../deploy/cli/commands/catalog-init.ts';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { PRODUCTS } from '../../../deploy/samples/products.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeTables, visibleColumns } from '../../../shared/catalog/describe-table.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { runCommand } from '../../support/run-command.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let database: TestDatabase;
let db: pg.Client;
let schema: string;

beforeAll(async () => {
  database = await createDatabase('draft');
  db = new pg.Client({ connectionString: database.url });
  await db.connect();
});
afterEach(async () => {
  await db.query(`drop schema if exists ${schema} cascade`);
});
afterAll(async () => {
  await db.end();
  await database.drop();
});

async function init(...args: string[]): Promise<string[]> {
  const context = { env: { DATABASE_URL: database.url }, home: '/nowhere' };
  const { code, lines } = await runCommand(catalogInitCommand, args, context);
  expect(code).toBe(0);
  return lines;
}

test.each(PRODUCTS)(
  'of $name the draft is what its own catalog says, and passes the check',
  async (product) => {
    schema = product.name;
    await product.create(db);
    const path = join(temporaryDirectory(), 'draft.yaml');
    await init('--output', path);
    const draft = await loadCatalog(path);
    const ready = await loadCatalog(product.catalog);
    const guessed = ({ resources }: typeof ready) =>
      resources
        .map(({ name, table, event, key, account, range, softDelete, related }) => ({
          ...{ name, table, event, key, account, range, softDelete },
          related: related.toSorted(),
        }))
        .toSorted((a, b) => a.name.localeCompare(b.name));
    expect(draft.name).toBe(product.name);
    // The ready one relates the lines of an invoice to its customer too, to which no foreign key of theirs leads.
    const withoutFarRelations = guessed(ready).map((resource) => ({
      ...resource,
      related: resource.related.filter((name) => resource.name !== 'line_items' || name !== 'customers'),
    }));
    const ownRelations = guessed(draft).map((resource) => ({
      ...resource,
      related: resource.related.filter((name) =>
        ready.resources.find((one) => one.name === resource.name)?.related.includes(name),
      ),
    }));
    expect(ownRelations).toEqual(withoutFarRelations);
    // What leaves is what leaves by its own catalog; but headers may hold credentials, as far as a draft can tell.
    const tables = await describeTables(
      db,
      draft.resources.map(({ table }) => table),
    );
    for (const table of tables) {
      const leaving = ({ resources }: typeof ready) =>
        resources
          .filter((resource) => resource.table.name === table.name)
          .flatMap((resource) => visibleColumns(table, resource).map(({ name }) => name));
      expect(leaving(draft)).toEqual(leaving(ready).filter((name) => name !== 'headers'));
    }
    const findings = await checkCatalog(db, draft);
    expect(findings.map(({ code }) => code)).toEqual(draft.resources.map(() => 'replica_identity'));
    await prepareSource(db, draft, { publication: product.name });
    expect(await checkCatalog(db, draft, { publication: product.name })).toEqual([]);
  },
);

test('a file that is there stays as it is unless it is forced', async () => {
  schema = 'public_one';
  await db.query(
    'create schema public_one; create table public_one.notes (id int primary key, tenant_id int)',
  );
  const path = join(temporaryDirectory(), 'catalog.yaml');
  await writeFile(path, 'mine');
  await expect(init('--output', path)).rejects.toThrow(/is there already.*--force/);
  expect(await readFile(path, 'utf8')).toBe('mine');
  await init('--output', path, '--force');
  expect((await loadCatalog(path)).resources).toMatchObject([{ name: 'notes', account: 'tenant_id' }]);
});

/** Each with the columns that must not be in its draft, and the resources that must not: a column seems to say whose they are. */
test.each([
  {
    shape: 'rails',
    secrets: /password|reset_|tokens?\b|otp_|hmac_token|provider_config|secret\b/,
    notOfAccount: ['team_members', 'oauth_grants', 'attachments', 'access_tokens', 'users'],
  },
  {
    shape: 'prisma',
    secrets: /secret|sessionToken|privateKey|_token|BackupCodes|password|\btoken\b/i,
    notOfAccount: ['account', 'team_email', 'transfer', 'envelope', 'verification_token', 'session'],
  },
  {
    shape: 'billing',
    secrets: /api_key\b|api_secret|api_salt|secrets|settings|webhook_secret|\bvalue|hmac/,
    notOfAccount: ['payment_attempts', 'credit_notes'],
  },
  {
    shape: 'auth',
    secrets: /password\b|_token\b|secret\b|secret_hash|credential|pem|_meta_data/,
    notOfAccount: ['identities', 'oauth_authorizations', 'sessions', 'web_sessions', 'tenants_by_host'],
  },
])('the draft of a database like $shape lets out neither a secret nor another account', async (expected) => {
  schema = expected.shape;
  const golden = join(import.meta.dirname, '../../golden/drafts', schema);
  await db.query(`create schema ${schema}; set search_path = ${schema}`);
  await db.query(await readFile(`${golden}.sql`, 'utf8'));
  await db.query('reset search_path');
  const path = join(temporaryDirectory(), 'draft.yaml');
  await init('--output', path, '--schema', schema);
  const text = await readFile(path, 'utf8');
  if (process.env.UPDATE_GOLDEN === '1') await writeFile(`${golden}.yaml`, text);
  expect(text).toBe(await readFile(`${golden}.yaml`, 'utf8'));

  const draft = await loadCatalog(path);
  const leaving = draft.resources.flatMap(({ expose = [] }) => expose);
  // A flag, a number or a reference is no secret, whatever it is called.
  const harmless = /^(is|require)_?secret$|^api_key_id$/i;
  expect(leaving.filter((name) => expected.secrets.test(name) && !harmless.test(name))).toEqual([]);
  // By a column of their own; by a foreign key they are whose their parent is.
  const names = draft.resources.flatMap(({ name, account }) => (typeof account === 'string' ? [name] : []));
  expect(names.filter((name) => expected.notOfAccount.includes(name))).toEqual([]);
  await prepareSource(db, draft, { publication: schema });
  expect(await checkCatalog(db, draft, { publication: schema })).toEqual([]);
});

const viaOf = (columns: readonly string[], parent: string) => ({
  columns,
  parents: [{ resource: expect.objectContaining({ name: parent }) }],
});

test('the operator says which columns tell whose a row is, and what belongs to an account by the first is none by the second', async () => {
  schema = 'named';
  await db.query(`create schema named; set search_path = named;
    create table practices (id int primary key, name text);
    create table clinics (id int primary key, "practiceId" int not null references practices);
    create table visits (id int primary key, "clinicId" int not null references clinics);
    create table notes (id int primary key, owner int not null);
    create table bills (id int primary key, visit_id int not null);
    create table attachments (id int primary key, subject_type text, subject_id int);
    insert into attachments values (1, 'App\\Visit', 1), (2, 'Clinic', 1), (3, 'Robot', 1);
    create table marks (id int primary key, of_type text, of_id int);
    insert into marks values (1, 'Robot', 1);
    reset search_path`);
  const path = join(temporaryDirectory(), 'draft.yaml');
  await expect(init('--output', path, '--schema', 'named')).rejects.toThrow(
    /no column says for certain.*--account/,
  );
  await expect(init('--output', path, '--schema', 'named', '--account', 'tenant')).rejects.toThrow(
    'no table has a column tenant',
  );
  const said = await init('--output', path, '--schema', 'named', '--account', 'practice_id, clinicId,owner');
  const { resources } = await loadCatalog(path);
  expect(resources.map(({ name, account }) => [name, account])).toEqual(
    [
      [
        'attachments',
        {
          columns: ['subject_id'],
          typeColumn: 'subject_type',
          parents: [
            { type: 'App\\Visit', resource: expect.objectContaining({ name: 'visits' }) },
            { type: 'Clinic', resource: expect.objectContaining({ name: 'clinics' }) },
          ],
        },
      ],
      ['bills', viaOf(['visit_id'], 'visits')],
      ['clinics', 'practiceId'],
      ['notes', 'owner'],
      ['practices', 'id'],
      ['visits', viaOf(['clinicId'], 'clinics')],
    ].toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  );
  expect(said.join('\n')).toMatch(
    /by a type and an ID, and no type in their rows is called after a resource/,
  );
  expect(said.join('\n')).toContain('named.marks: by of_type and of_id');
  expect(await readFile(path, 'utf8')).toContain(
    'account: { via: clinicId, to: clinics } # Check: by its foreign key to clinics',
  );
  expect(await readFile(path, 'utf8')).toContain(
    "# Check: by the names of the types in its first rows; rows of Robot are nobody's. Add",
  );
  expect(await readFile(path, 'utf8')).toContain(
    '# Check: by its name alone, no foreign key says so: are its values the id of visits?',
  );
  expect(await readFile(path, 'utf8')).toContain('account: owner # Check: other tables have practice_id');
});

test('odd names, the accounts themselves and tables that are of no use are all dealt with', async () => {
  schema = '"Odd ""s.chema"';
  await db.query(`
    create schema ${schema};
    set search_path = ${schema};
    create table organizations (id uuid primary key, name text, api_key text);
    create table "Web Hooks" ("the ""number""" text not null, "Org" int,
      organization_id uuid not null references organizations, "true" timestamptz, created_at date, deleted_at timestamptz not null,
      unique ("the ""number"""), unique ("Org"));
    create table events (organization_id uuid, n int);
    create table countries (code text primary key);
    create unlogged table drafts (id int primary key, organization_id uuid);
    create table parts (id int, organization_id uuid references organizations, at timestamptz, primary key (id, organization_id))
      partition by list (organization_id);
    create table parts_1 partition of parts default;
    create view seen as select * from organizations;
    reset search_path`);
  const path = join(temporaryDirectory(), 'catalog.yaml');
  const said = await init('--output', path, '--schema', 'Odd "s.chema,public');
  const { resources } = await loadCatalog(path);
  expect(resources).toMatchObject([
    {
      name: 'web_hooks',
      event: 'web_hook',
      table: { schema: 'Odd "s.chema', name: 'Web Hooks' },
      key: ['the "number"'],
      account: 'organization_id',
      range: 'created_at',
      softDelete: undefined,
      related: ['organizations'],
    },
    {
      ...{ name: 'organizations', key: ['id'], account: 'id', expose: ['id', 'name'] },
      related: ['web_hooks', 'parts'],
    },
    { name: 'parts', key: ['id', 'organization_id'], account: 'organization_id' },
  ]);
  expect(said.filter((line) => line.startsWith('  '))).toEqual([
    '  Odd "s.chema.events',
    '  Odd "s.chema.countries',
    '  Odd "s.chema.drafts: it is unlogged',
  ]);
  expect(await readFile(path, 'utf8')).toContain('account: id # Check: the table of the accounts themselves');
  const codes = (await checkCatalog(db, await loadCatalog(path))).map(({ code }) => code);
  expect(new Set(codes)).toEqual(new Set(['replica_identity']));
});
