import { join } from 'node:path';
import type pg from 'pg';
import type { World } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import type { BenchOptions } from './bench-exports.ts';
import { insertAtOnce, insertSingly } from './feed-load.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const BACKLOG_CHANGES = 60_000;
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

/** Capture alone, with nobody who writes or reads beside it: how fast it takes what was written while it was down. */
export async function benchCapture({ world, source, bench, until }: CaptureBenchOptions): Promise<void> {
  for (const { how, write } of BACKLOGS) {
    await write(source, BACKLOG_CHANGES, how);
    const { rows } = await source.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    await insertSingly(source, FURTHER_CHANGES, 'further');
    const is = async (condition: string) => {
      const found = await source.query(
        `select from pg_replication_slots where slot_name = $1 and $2::pg_lsn is not null and ${condition}`,
        [world.prefix, rows[0]?.lsn],
      );
      return found.rowCount === 1;
    };
    await using capture = await startServices({
      env: world.env,
      services: { capture: 1 },
      log: bench.log,
      home: join(bench.directory, world.prefix, 'capture'),
    });
    await until(() => is('active'));
    const meter = startMeter(capture, bench.parts);
    const startedMs = performance.now();
    await until(() => is('confirmed_flush_lsn >= $2::pg_lsn'));
    const seconds = (performance.now() - startedMs) / 1000;
    bench.say(
      `capture, ${BACKLOG_CHANGES} changes waiting in ${how}: in Kafka after ${seconds.toFixed(1)} s ` +
        `(${Math.round(BACKLOG_CHANGES / seconds)}/s); ${machineLoad()}`,
    );
    for (const line of usageLines(meter.stop(), BACKLOG_CHANGES)) bench.say(line);
  }
}
