import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { createExtractorFixture } from '../../support/extractor-fixture.ts';
import { openOwnPostgres } from '../../support/own-postgres.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Twice as long as hex: more than PostgreSQL allocates at once. Compressed it is some megabytes. */
const HUGE = `convert_to(repeat('x', 540 * 1000 * 1000), 'UTF8')`;

const CATALOG = `
catalog: huge
resources:
  files: { table: app.files, event: file, key: [id], account: account_id }
  notes: { table: app.notes, event: note, key: [id], account: account_id }
`;
const SCHEMA = `
  create schema app;
  create table app.files (id bigint primary key, account_id text not null, body bytea);
  create table app.notes (id bigint primary key, account_id text not null, body text);
`;

const cleanup = new AsyncDisposableStack();
let world: CaptureWorld;
beforeAll(async () => {
  // A server of its own: it needs more than a gigabyte for a moment.
  const postgres = cleanup.use(await openOwnPostgres());
  world = cleanup.use(
    await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG, serverUrl: postgres.url('postgres') }),
  );
});
afterAll(() => cleanup.disposeAsync());

const insertNote = (id: number) =>
  world.pool.query(`insert into app.notes values ($1, 'acme', 'note')`, [id]);
const noteIds = () =>
  world.reader.changes.flatMap(({ resource, after }) =>
    resource === 'notes' && after?.id ? [after.id] : [],
  );

test('a row that the server can’t send ends capture by name, and behind an accepted gap the feed goes on', async () => {
  const first = await world.start();
  await insertNote(1);
  await world.pool.query(
    `begin; insert into app.notes values (2, 'acme', 'beside'); insert into app.files values (7, 'acme', ${HUGE}); commit`,
  );
  await insertNote(3);
  const failure = await first.ended.catch((error: unknown) => error);
  expect(failure).toMatchObject({ cause: { name: 'GapPossibleError', reason: 'change_unsendable' } });
  const { message } = (failure as { cause: Error }).cause;
  const { rows } = await world.pool.query<{ xmin: string }>('select xmin from app.notes where id = 2');
  expect(message).toContain(`transaction ${rows[0]?.xmin}`);
  expect(message).toContain('a bytea counts twice');
  // Again, with the same position: nothing is passed over that nobody has accepted.
  const again = await world.start().then(
    ({ ended }) => ended.catch((error: unknown) => error),
    (error: unknown) => error,
  );
  expect((again as { cause: Error }).cause.message).toBe(message);
  expect(noteIds()).toContain('1');
  expect(noteIds()).not.toContain('3');

  const accepted = /ACCEPT_GAP_AFTER=([0-9A-F/]+)/.exec(message)?.[1] ?? '';
  await world.start({ ACCEPT_GAP_AFTER: accepted });
  await waitFor('the feed to go on', () => noteIds().includes('3'));
  await insertNote(4);
  await waitFor('the next change', () => noteIds().includes('4'));
  const resets = world.reader.changes.filter(({ op }) => op === 'truncate').map(({ resource }) => resource);
  expect(new Set(resets)).toEqual(new Set(['files', 'notes']));
  const places = world.reader.changes.map(({ op, after }) => (op === 'truncate' ? 'reset' : after?.id));
  expect(places.lastIndexOf('reset')).toBeLessThan(places.indexOf('3'));
});

test('an export of such a row fails at once, with the key that it comes after', async () => {
  await using fixture = await createExtractorFixture(CATALOG, 'select', {
    url: world.url,
    prefix: `${world.prefix}.export`,
  });
  await world.pool.query(`insert into app.files values (6, 'acme', 'small'), (8, 'acme', 'small')`);
  const account = await fixture.addAccount('acme');
  await fixture.startExtractor();
  const failed = async (resources: string[]) => {
    const id = await fixture.addExport(account, resources);
    return waitFor('the export to end', async () => {
      await fixture.seal();
      const row = await fixture.readExport(id);
      return row.phase === 'assembling' || row.status === 'failed' ? row : undefined;
    });
  };
  expect(await failed(['files'])).toMatchObject({
    status: 'failed',
    run_count: 1,
    error: { code: 'row_too_large', message: expect.stringContaining('after the key ["6"] of files') },
  });
  expect((await failed(['notes'])).phase).toBe('assembling');
});
