import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSuspectPlace } from '../../../services/extractor/suspect-place.ts';
import { claimExport } from '../../../shared/control/exports/queue-exports.ts';
import { CLAIM_LIMITS, type ExportStore, openExportStore } from '../../support/export-store.ts';
import { createExtractorFixture, type ExtractorFixture } from '../../support/extractor-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: shop
resources:
  orders:
    table: shop.orders
    event: order
    key: [id]
    account: account_id
`;

const TABLES = `
create schema shop;
create table shop.orders (id bigint primary key, account_id text not null);
alter table shop.orders replica identity full;
insert into shop.orders select g, 'acme' from generate_series(1, 4000) g;
analyze;`;

/** Each run of an export takes four seconds, so that it is under way when its process is killed. */
const SLOW = { max_rows_per_second: 1_000 };

let fixture: ExtractorFixture;
let store: ExportStore;

beforeAll(async () => {
  fixture = await createExtractorFixture(CATALOG, TABLES);
  store = await openExportStore();
});

afterAll(async () => {
  await store?.[Symbol.asyncDispose]();
  await fixture?.[Symbol.asyncDispose]();
});

test('an export that kills its process each time fails, and those beside it do not', async () => {
  const account = await fixture.addAccount('acme');
  const innocent = [
    await fixture.addExport(account, ['orders'], SLOW),
    await fixture.addExport(account, ['orders'], SLOW),
  ];
  const guilty = await fixture.addExport(account, ['orders'], SLOW);
  let runAttempt = 0;
  for (let kills = 0; ; kills += 1) {
    const victim = fixture.spawnExtractor();
    const run = await waitFor('a run of the guilty export, or its end', async () => {
      await fixture.seal();
      const row = await fixture.readExport(guilty);
      return row.status === 'failed' || row.run_attempt > runAttempt ? row : undefined;
    });
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    for (const id of [...innocent, guilty]) await fixture.endLeases(id);
    if (run.status === 'failed') {
      expect(kills).toBe(CLAIM_LIMITS.maxRuns);
      expect(run.error).toMatchObject({ code: 'attempts_exhausted' });
      break;
    }
    runAttempt = run.run_attempt;
  }
  const end = await fixture.startExtractor();
  for (const id of innocent) {
    const row = await waitFor('an innocent export to be read', async () => {
      await fixture.seal();
      const found = await fixture.readExport(id);
      return found.status === 'failed' || found.planned_at !== null ? found : undefined;
    });
    expect(row.error).toBeNull();
    expect(row.run_count).toBeLessThanOrEqual(3);
  }
  await end();
});

test('whatever runs beside them, exports fail only by themselves, with up to two that kill their processes', async () => {
  const scenes = fc.record({
    innocents: fc.integer({ min: 1, max: 6 }),
    guilty: fc.uniqueArray(fc.integer({ min: 0, max: 8 }), { maxLength: 2 }),
    processes: fc.integer({ min: 1, max: 3 }),
    /** So many exports are added one by one, while others run. */
    late: fc.nat({ max: 8 }),
  });
  await fc.assert(
    fc.asyncProperty(scenes, async ({ innocents, guilty, processes, late }) => {
      await store.empty();
      const ids = Array.from({ length: innocents + guilty.length }, (_, index) => `e${index}`);
      const isGuilty = (id: string) => guilty.some((place) => `e${place % ids.length}` === id);
      const add = async (id: string) => store.addExports(`of_${id}`, [id]);
      for (const id of ids.slice(late)) await add(id);
      const waiting = ids.slice(0, late);
      const running = Array.from({ length: processes }, (_, index) => ({
        owner: `p${index}`,
        place: createSuspectPlace(),
        held: new Set<string>(),
        suspect: undefined as string | undefined,
      }));
      const open = new Set(ids);
      for (let round = 0; open.size > 0; round += 1) {
        expect(round).toBeLessThan(200);
        for (const one of running) {
          for (;;) {
            const claimed = await one.place.claim(
              (room) => claimExport(store.pool, one.owner, CLAIM_LIMITS, room),
              ({ id, isSuspect }) => (isSuspect ? id : undefined),
            );
            if (claimed === undefined) break;
            one.held.add(claimed.id);
            if (claimed.isSuspect) {
              expect(one.suspect).toBeUndefined();
              one.suspect = claimed.id;
            }
          }
          const isKilled = [...one.held].some(isGuilty);
          const ended = isKilled ? [] : [...one.held].slice(0, 1);
          if (isKilled) {
            await store.pool.query(
              `update exports set lease_expires_at = now() - interval '1 second' where lease_owner = $1`,
              [one.owner],
            );
            one.held.clear();
            one.place = createSuspectPlace();
            one.suspect = undefined;
          }
          for (const id of ended) {
            await store.pool.query(
              `/* arranged */ update exports set status = 'completed', phase = 'done', lease_owner = null where id = $1`,
              [id],
            );
            one.held.delete(id);
            if (one.suspect === id) {
              one.place.leave(id);
              one.suspect = undefined;
            }
          }
        }
        const next = waiting.shift();
        if (next !== undefined) await add(next);
        for (const id of open) {
          const status = (await store.statusOf(id))?.status;
          if (status === 'failed' || status === 'completed') open.delete(id);
          if (status === 'failed') expect(isGuilty(id)).toBe(true);
          if (status === 'completed') expect(isGuilty(id)).toBe(false);
        }
      }
    }),
    { numRuns: 25 },
  );
});
