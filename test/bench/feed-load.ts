import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';

/** Changes of 100 records in turn, because one record's events are sent one after the other. */
const UPDATE_ONE = {
  name: 'bench_update_one',
  text: 'update documint.customers set credit_limit = coalesce(credit_limit, 0) + 1 where id = 1 + $1::bigint % 100',
};

const INSERT_MANY = `insert into documint.customers (account_id, name, email, country, address)
  select 'acc_001', $2, 'n@example.com', 'DE', '{}' from generate_series(1, $1::int) n`;

/**
 * One transaction a row, all in the server: a round trip for each would make the writer the slowest part. What is measured is
 * the feed, so the product's own wait for the disk is left out too.
 */
const INSERT_SINGLY = `
  create procedure pg_temp.insert_singly(rows int, name text) language plpgsql as $$
  begin
    for n in 1..rows loop
      insert into documint.customers (account_id, name, email, country, address)
      values ('acc_001', name, 'n@example.com', 'DE', '{}');
      commit;
    end loop;
  end $$`;

/** Commits at a steady pace, whatever comes of them. Resolves when all have been answered. */
export async function commitPaced(source: pg.Pool, perSecond: number, count: number): Promise<void> {
  const startedMs = performance.now();
  const pending: Promise<unknown>[] = [];
  for (let n = 0; n < count; n += 1) {
    pending.push(source.query({ ...UPDATE_ONE, values: [n] }));
    const waitMs = startedMs + ((n + 1) * 1000) / perSecond - performance.now();
    if (waitMs > 1) await delay(waitMs);
  }
  await Promise.all(pending);
}

/** Inserts rows of one name in one transaction. */
export async function insertAtOnce(source: pg.Pool, count: number, name: string): Promise<void> {
  await source.query(INSERT_MANY, [count, name]);
}

/** Inserts rows of one name, each in a transaction of its own. */
export async function insertSingly(source: pg.Pool, count: number, name: string): Promise<void> {
  const client = await source.connect();
  try {
    await client.query('set synchronous_commit = off');
    await client.query(INSERT_SINGLY);
    await client.query('call pg_temp.insert_singly($1, $2)', [count, name]);
  } finally {
    client.release(true);
  }
}
