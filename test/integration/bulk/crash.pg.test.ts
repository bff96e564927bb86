import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

const KILLS = 5;
const ITEMS = 3_000;

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const spawnWorker = () => world.spawnWorker({ BULK_CHUNK_ITEMS: '20' });

test('workers that are killed again and again have each effect once, and the counts add up', async () => {
  const { key, sourceId } = await world.account(ITEMS);
  // Slows each change a little, so that kills fall into the middle, and notes it in the transaction that makes it.
  await world.api.pool.query(`
    create table documint.effects (id bigint);
    create function documint.note_effect() returns trigger language plpgsql as $$
      begin insert into documint.effects values (new.id); perform pg_sleep(0.001); return new; end $$;
    create trigger note_effect after update on documint.invoices for each row execute function documint.note_effect()`);
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'void',
    async: true,
    filter: { status: { eq: 'open' } },
  });
  const workers = [spawnWorker(), spawnWorker(), spawnWorker()];
  let reached = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const target = reached + 100;
    await waitFor(`${target} are processed`, async () => {
      const { status, processed } = await world.status(key, json.job_id);
      reached = processed;
      return processed >= target || status === 'completed';
    });
    const index = kill % workers.length;
    await workers[index]?.kill();
    workers[index] = spawnWorker();
  }
  const done = await waitFor('the job has ended', async () => {
    const status = await world.status(key, json.job_id);
    return status.status === 'completed' ? status : undefined;
  });
  expect(done).toMatchObject({ succeeded: ITEMS, failed: 0, skipped: 0, processed: ITEMS, total: ITEMS });
  const { rows } = await world.api.pool.query(
    `select count(*)::int as effects, count(distinct e.id)::int as items
     from documint.effects e join documint.invoices i on i.id = e.id and i.account_id = $1`,
    [sourceId],
  );
  expect(rows).toEqual([{ effects: ITEMS, items: ITEMS }]);
});
