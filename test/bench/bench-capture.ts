import { join } from 'node:path';
import type pg from 'pg';
import type { World } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import type { BenchOptions } from './bench-exports.ts';
import { insertAtOnce, insertSingly } from './feed-load.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

/** Taken first and not counted: the session begins, and the compilers do their most. */
const WARM_UP_CHANGES = 60_000;
const BACKLOG_CHANGES = 200_000;
/** Written behind the backlog, so that the slot goes on being told how far capture is when that is over. */
const FURTHER_CHANGES = 10_000;

const BACKLOGS = [
  { how: 'single-row transactions', write: insertSingly },
  { how: 'one transaction', write: insertAtOnce },
];

export interface CaptureBenchOptions {
  world: World;
  source: pg.Pool;
  bench: BenchOptions;
  until(condition: () => boolean | Promise<boolean>): Promise<void>;
}

/**
 * Capture alone, with nobody who writes or reads beside it: how fast it takes what was written while its process stood
 * still (SIGSTOP), once it is warm.
 */
export async function benchCapture({ world, source, bench, until }: CaptureBenchOptions): Promise<void> {
  const untilConfirmed = (lsn: string) =>
    until(async () => {
      const found = await source.query(
        'select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn >= $2::pg_lsn',
        [world.prefix, lsn],
      );
      return found.rowCount === 1;
    });
  await using capture = await startServices({
    env: world.env,
    services: { capture: 1 },
    log: bench.log,
    home: join(bench.directory, world.prefix, 'capture'),
  });
  await insertSingly(source, WARM_UP_CHANGES, 'warm-up');
  const warm = await currentLsn(source);
  await insertSingly(source, FURTHER_CHANGES, 'further');
  await untilConfirmed(warm);
  for (const { how, write } of BACKLOGS) {
    capture.kill('capture', 0, 'SIGSTOP');
    await write(source, BACKLOG_CHANGES, how);
    const end = await currentLsn(source);
    await insertSingly(source, FURTHER_CHANGES, 'further');
    const meter = startMeter(capture, bench.parts);
    const startedMs = performance.now();
    capture.kill('capture', 0, 'SIGCONT');
    await untilConfirmed(end);
    const seconds = (performance.now() - startedMs) / 1000;
    bench.say(
      `capture, ${BACKLOG_CHANGES} changes waiting in ${how}: in Kafka after ${seconds.toFixed(1)} s ` +
        `(${Math.round(BACKLOG_CHANGES / seconds)}/s); ${machineLoad()}`,
    );
    for (const line of usageLines(meter.stop(), BACKLOG_CHANGES)) bench.say(line);
  }
}

async function currentLsn(source: pg.Pool): Promise<string> {
  const { rows } = await source.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  return rows[0]?.lsn ?? '';
}
