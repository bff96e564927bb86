import type { Pool, PoolClient } from 'pg';

/**
 * Runs `work` in one transaction: committed when it returns, rolled back when it throws. The connection is dropped if even that fails.
 *
 * @param opening a statement without parameters that goes in the round trip of `begin`, such as one that takes a lock
 */
export async function inTransaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  opening?: string,
): Promise<T> {
  const client = await pool.connect();
  let broken = false;
  try {
    await client.query(opening === undefined ? 'begin' : `begin; ${opening}`);
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}
