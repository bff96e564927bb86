import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pauseExport, resumeExport } from '../../../shared/control/exports/pause-export.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import {
  createExtractorFixture,
  type ExportRow,
  type ExtractorFixture,
} from '../../support/extractor-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  notes:
    table: shop.notes
    event: note
    key: [id]
    account: account_id
  orders:
    table: shop.orders
    event: order
    key: [id]
    account: account_id
`;

const ROW_COUNT = 30_000;

const TABLES = `
create schema shop;
create table shop.orders (id uuid primary key, account_id text not null, note text, kind text not null default 'even');
alter table shop.orders replica identity full;
create table shop.notes (id bigint primary key, account_id text not null);
alter table shop.notes replica identity full;
insert into shop.notes values (1, 'acme');
insert into shop.orders
select md5(g::text)::uuid, 'acme', repeat('x', 400) || g, case g % 2 when 0 then 'even' else 'odd' end from generate_series(1, ${ROW_COUNT}) g;
analyze;`;

/** Chunks of about 10,000 rows: so that several can be met in their middle. */
const LARGE_CHUNKS = { EXTRACTOR_CHUNK_BYTES: '5000000' };
/** Some 15 chunks, of which few are planned at a time. */
const CHUNKED = { EXTRACTOR_CHUNK_BYTES: '1000000', EXTRACTOR_CHUNK_WINDOW: '3', EXTRACTOR_MAX_CHUNKS: '1' };
const HOLDER_ONLY = { ...LARGE_CHUNKS, EXTRACTOR_MAX_CHUNKS: '0' };
const READER_ONLY = { EXTRACTOR_MAX_EXPORTS: '0', EXTRACTOR_MAX_CHUNKS: '1' };

let fixture: ExtractorFixture;
let acme: string;

beforeAll(async () => {
  fixture = await createExtractorFixture(CATALOG, TABLES);
  acme = await fixture.addAccount('acme');
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

async function kill(extractor: ChildProcess): Promise<void> {
  extractor.kill('SIGKILL');
  await once(extractor, 'exit');
}

async function extracted(id: string): Promise<ExportRow> {
  const row = await waitFor(`export ${id} to be extracted`, async () => {
    await fixture.seal();
    const standing = await fixture.readExport(id);
    return standing.phase === 'assembling' || standing.phase === 'done' ? standing : undefined;
  });
  await fixture.db.query(
    "/* arranged */ update exports set status = 'completed', phase = 'done' where id = $1",
    [id],
  );
  return row;
}

/** An export that reads its rows in short transactions, slower than any machine, until `goOn`. It has read some. */
async function readingChunked(resources: string[]): Promise<string> {
  const request = { snapshot: 'chunked', max_rows_per_second: 2_000 };
  const id = await fixture.addExport(acme, resources, request);
  await waitFor('chunks to be read', async () => Number((await fixture.readExport(id)).rows_extracted) > 0);
  return id;
}

const goOn = (id: string) =>
  fixture.db.query("update exports set request = request - 'max_rows_per_second' where id = $1", [id]);

interface Chunk {
  chunk: number;
  state: string;
  attempt: number;
  lease_owner: string | null;
}

async function chunksOf(id: string): Promise<Chunk[]> {
  const { rows } = await fixture.db.query<Chunk>(
    'select chunk, state, attempt, lease_owner from export_chunks where export_id = $1 order by chunk',
    [id],
  );
  return rows;
}

const readChunks = async (id: string) => (await chunksOf(id)).filter(({ state }) => state === 'extracted');

async function expectEveryRowOnce(id: string, where = 'true'): Promise<void> {
  const rows = await fixture.keptRows(id);
  const { rows: expected } = await fixture.db.query<{ id: string }>(
    `select id::text from shop.orders where ${where} order by id`,
  );
  expect(rows.map(({ value }) => value.id)).toEqual(expected.map((row) => row.id));
}

test('two extractors read chunks of one export under one snapshot', async () => {
  const ends = [
    await fixture.startExtractor({ ...LARGE_CHUNKS, EXTRACTOR_MAX_CHUNKS: '1' }),
    await fixture.startExtractor(READER_ONLY),
  ];
  const owners = new Set<string>();
  const id = await fixture.addExport(acme, ['orders']);
  await waitFor('all chunks to be extracted', async () => {
    const chunks = await chunksOf(id);
    for (const { lease_owner: owner } of chunks) if (owner !== null) owners.add(owner);
    return (
      (await fixture.readExport(id)).rows_extracted === String(ROW_COUNT) &&
      chunks.every(({ state }) => state === 'extracted')
    );
  });
  expect(await extracted(id)).toMatchObject({ run_count: 1, rows_extracted: String(ROW_COUNT) });
  expect(owners.size).toBe(2);
  await expectEveryRowOnce(id);
  for (const end of ends) await end();
});

test('a reader that is killed in the middle of a chunk is replaced by a higher attempt under the same snapshot', async () => {
  const endHolder = await fixture.startExtractor(HOLDER_ONLY);
  const victim = fixture.spawnExtractor(READER_ONLY);
  const id = await fixture.addExport(acme, ['orders']);
  await fixture.listen();
  const lost = await waitFor('a chunk met in its middle', async () => {
    const reading = (await chunksOf(id)).find(({ state }) => state === 'reading');
    const isSent = fixture.sentRows().some(({ headers }) => {
      return (
        headers.exportId === id && headers.chunk === reading?.chunk && headers.attempt === reading.attempt
      );
    });
    if (reading === undefined || !isSent) return undefined;
    // Held still, it can't finish between our look and the kill.
    victim.kill('SIGSTOP');
    const held = (await chunksOf(id)).find(({ chunk }) => chunk === reading.chunk);
    if (held?.state === 'reading' && held.attempt === reading.attempt) return reading;
    victim.kill('SIGCONT');
    return undefined;
  });
  victim.kill('SIGKILL');
  await waitFor('its session in the source to end', async () => {
    const { rowCount } = await fixture.db.query(
      "select from pg_stat_activity where application_name like 'tandem extractor chunk %' || $1",
      [id],
    );
    return rowCount === 0;
  });
  await fixture.endChunkLeases(id);
  const endReader = await fixture.startExtractor(READER_ONLY);
  expect(await extracted(id)).toMatchObject({ run_count: 1, rows_extracted: String(ROW_COUNT) });
  const again = (await chunksOf(id)).find(({ chunk }) => chunk === lost.chunk);
  expect(again?.attempt).toBeGreaterThan(lost.attempt);
  await expectEveryRowOnce(id);
  await endReader();
  await endHolder();
});

test('an export whose holder is killed is run again, and nothing of the first run counts', async () => {
  const victim = fixture.spawnExtractor(HOLDER_ONLY);
  const endReader = await fixture.startExtractor(READER_ONLY);
  const id = await fixture.addExport(acme, ['orders']);
  const first = await waitFor('the first run to read', async () => {
    const row = await fixture.readExport(id);
    return row.rows_extracted === '0' ? undefined : row;
  });
  await kill(victim);
  await fixture.endLeases(id);
  await fixture.db.query(
    "insert into shop.orders values ('00000000-0000-0000-0000-000000000000', 'acme', 'late')",
  );
  const endHolder = await fixture.startExtractor(HOLDER_ONLY);
  await waitFor('the next run', async () => (await fixture.readExport(id)).run_count === 2);
  const second = await extracted(id);
  expect(second.snapshot).not.toEqual(first.snapshot);
  expect((await chunksOf(id)).every(({ attempt }) => attempt > first.run_attempt)).toBe(true);
  await expectEveryRowOnce(id);
  await endReader();
  await endHolder();
});

test('when every extractor is killed, a chunked export costs the chunks in hand and no more', async () => {
  const victims = [fixture.spawnExtractor(CHUNKED), fixture.spawnExtractor(READER_ONLY)];
  const id = await readingChunked(['orders']);
  await waitFor('some chunks to be read', async () => (await readChunks(id)).length > 1);
  await Promise.all(victims.map(kill));
  await fixture.endLeases(id);
  await goOn(id);
  const before = await readChunks(id);
  expect((await fixture.readExport(id)).planned_at).toBeNull();
  const end = await fixture.startExtractor(CHUNKED);
  const row = await extracted(id);
  const [counted] = (await fixture.db.query<{ n: string }>('select count(*) as n from shop.orders')).rows;
  expect(row).toMatchObject({
    error: null,
    rows_extracted: counted?.n,
    snapshot: { xmin: expect.any(String) },
  });
  expect(row.run_attempt).toBeGreaterThan(1);
  const after = await chunksOf(id);
  // Whatever was read stays read.
  for (const { chunk, attempt } of before) {
    expect(after.find((each) => each.chunk === chunk)).toMatchObject({ attempt });
  }
  await expectEveryRowOnce(id);
  const sentCount = fixture.sentRows().filter(({ headers }) => headers.exportId === id).length;
  const rowsOfChunk = Math.ceil(ROW_COUNT / (after.length - 1));
  expect(sentCount).toBeLessThanOrEqual(Number(counted?.n) + 2 * rowsOfChunk);
  await waitFor('the keys of the ended export to be swept', async () => {
    const { rows } = await fixture.db.query(
      'select from export_chunks where export_id = $1 and record_keys is not null',
      [id],
    );
    return rows.length === 0;
  });
  await end();
});

test('a chunked export that was begun by another catalog is read again, and who has that one reads none of it', async () => {
  const victim = fixture.spawnExtractor(CHUNKED);
  const endOther = await fixture.startExtractor(READER_ONLY);
  const id = await readingChunked(['orders']);
  await kill(victim);
  await fixture.endLeases(id);
  await goOn(id);
  const catalog = `${fixture.env.CATALOG}.even`;
  await writeFile(catalog, `${CATALOG}    where: {kind: {eq: even}}\n`);
  const end = await fixture.startExtractor({ ...CHUNKED, CATALOG: catalog });
  expect(await extracted(id)).toMatchObject({ error: null });
  await expectEveryRowOnce(id, "kind = 'even'");
  await end();
  await endOther();
});

test('a chunked export that is paused is read by nobody, and costs the chunks in hand and no more', async () => {
  const end = await fixture.startExtractor(CHUNKED);
  const id = await readingChunked(['orders']);
  await waitFor('a chunk to be read', async () => (await readChunks(id)).length > 0);
  // Its seal is not answered, so it can't be past its reading.
  expect(await inTransaction(fixture.db, (db) => pauseExport(db, acme, id, 30))).toEqual({
    status: 'paused',
  });
  const before = await readChunks(id);
  await waitFor('its sessions in the source to end', async () => {
    const { rowCount } = await fixture.db.query(
      "select from pg_stat_activity where application_name like 'tandem extractor %' || $1 || '%'",
      [id],
    );
    return rowCount === 0;
  });
  // Another export has its turn meanwhile, and the paused one is not touched.
  await extracted(await fixture.addExport(acme, ['notes']));
  expect(await readChunks(id)).toEqual(before);
  expect(await fixture.readExport(id)).toMatchObject({ status: 'paused' });
  await goOn(id);
  await inTransaction(fixture.db, (db) => resumeExport(db, acme, id));
  expect(await extracted(id)).toMatchObject({ error: null, snapshot_kind: 'chunked' });
  const after = await chunksOf(id);
  for (const { chunk, attempt } of before) {
    expect(after.find((each) => each.chunk === chunk)).toMatchObject({ attempt });
  }
  await expectEveryRowOnce(id);
  await end();
});

test('rows at the end of the keys are read, also those that are added while a larger table is', async () => {
  const end = await fixture.startExtractor(CHUNKED);
  const id = await readingChunked(['notes', 'orders']);
  await fixture.db.query("insert into shop.notes select g, 'acme' from generate_series(2, 3000) g");
  await goOn(id);
  expect(await extracted(id)).toMatchObject({ error: null, snapshot_kind: 'chunked' });
  const { rows } = await fixture.db.query(
    "select sum(rows_extracted) as n from export_chunks where export_id = $1 and resource = 'notes'",
    [id],
  );
  expect(rows).toEqual([{ n: '3000' }]);
  await end();
});

test('an export is read again once events since its reading began are gone, and fails when a replica’s commits stay unsettled', async () => {
  const end = await fixture.startExtractor({ ...CHUNKED, EXTRACTOR_SETTLE_TIMEOUT_MS: '1000' });
  const old = await readingChunked(['orders']);
  await fixture.db.query(
    `/* arranged */ update exports set read_since = jsonb_set(read_since, '{taken_at}', '"2001-01-01T00:00:00Z"') where id = $1`,
    [old],
  );
  await goOn(old);
  expect(await extracted(old)).toMatchObject({
    error: null,
    snapshot_kind: 'single',
    snapshot_reason: expect.stringContaining('no longer retained'),
  });
  const unsettled = await readingChunked(['orders']);
  await waitFor('a chunk to be read', async () => {
    const { rowCount } = await fixture.db.query(
      "/* arranged */ update export_chunks set read_lsn = 'FFFFFFFF/0' where export_id = $1 and state = 'extracted'",
      [unsettled],
    );
    return (rowCount ?? 0) > 0;
  });
  await goOn(unsettled);
  await waitFor('the export to fail', async () => {
    const { status, error } = await fixture.readExport(unsettled);
    return status === 'failed' && error?.code === 'feed_not_settled';
  });
  await end();
});
