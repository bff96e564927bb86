import pg from 'pg';

/**
 * A pool as the product, or a test that looks on, would open it: without the settings of Tandem's own sessions. The
 * server may cut a connection that the pool is still closing, as the end of a test drops its database; an error event
 * that nobody hears would fail the run.
 */
export function openProductPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config);
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
