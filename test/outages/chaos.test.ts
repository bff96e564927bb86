import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { silentLog } from '../../shared/runtime/log.ts';
import { breakThings } from '../chaos/break-things.ts';
import { CHAOS_POSTGRES, runChaos } from '../chaos/run-chaos.ts';
import { openOwnKafka } from '../support/own-kafka.ts';
import { openOwnPostgres } from '../support/own-postgres.ts';
import { testStack } from '../support/stack.ts';

const CHAOS_MS = 60_000;
/** Of what is broken when. `npm run chaos` takes any other, and how it interleaves differs with each run. */
const SEED = 2026;

test('services, source and broker killed at random for a minute lose nothing and repeat nothing', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-chaos-'));
  try {
    await using postgres = await openOwnPostgres(CHAOS_POSTGRES);
    await using kafka = await openOwnKafka();
    const result = await runChaos({
      databaseUrl: postgres.url('postgres'),
      kafkaBrokers: kafka.brokers,
      breakThings: (world, signal) =>
        breakThings({ world, postgres, kafka, seed: SEED, say: () => undefined }, signal),
      schemaRegistryUrl: testStack().schemaRegistryUrl,
      directory,
      until: () => delay(CHAOS_MS),
      seed: SEED,
      exportKinds: ['single'],
      copies: 2,
      rows: 3_000,
      perSecond: 50,
      log: silentLog,
      say: () => undefined,
    });
    expect(result.faults).toEqual([]);
    expect(result.exports).toBeGreaterThan(0);
    expect(result.jobs).toBeGreaterThan(0);
    expect(result.breaks.source).toBeGreaterThan(0);
    expect(result.breaks.broker).toBeGreaterThan(0);
    expect(result.breaks.capture).toBeGreaterThan(0);
    expect(result.deliveries).toBeGreaterThan(0);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}, 500_000);
