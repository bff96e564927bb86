import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startStack } from '../../deploy/local/stack.ts';
import { createLog } from '../../shared/runtime/log.ts';
import { openOwnKafka } from '../support/own-kafka.ts';
import { openOwnPostgres } from '../support/own-postgres.ts';
import { breakThings } from './break-things.ts';
import { CHAOS_POSTGRES, runChaos } from './run-chaos.ts';
import { createMemoryWatch } from './watch-memory.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    copies: { type: 'string', default: '2' },
    rows: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '100' },
    // Breaks nothing, and watches the memory of every service.
    calm: { type: 'boolean', default: false },
  },
});

const home = mkdtempSync(join(tmpdir(), 'tandem-chaos-'));
const log = createLog('warn');
await using servers = new AsyncDisposableStack();
const postgres = servers.use(await openOwnPostgres(CHAOS_POSTGRES));
const kafka = servers.use(await openOwnKafka());
const databaseUrl = postgres.url('postgres');
// Only the registry is left to start, unless one is given.
const stack = await startStack({
  home,
  env: {
    ...process.env,
    DATABASE_URL: databaseUrl,
    CONTROL_DATABASE_URL: databaseUrl,
    KAFKA_BROKERS: kafka.brokers,
  },
  log,
  say: console.log,
});
const memory = createMemoryWatch();
let failed = true;
try {
  const startedMs = Date.now();
  const say = (line: string) =>
    console.log(`${((Date.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const result = await runChaos({
    databaseUrl,
    kafkaBrokers: kafka.brokers,
    async breakThings(world, signal) {
      if (!values.calm)
        return breakThings({ world, postgres, kafka, seed: Number(values.seed), say }, signal);
      await memory.run(world, signal);
      return {};
    },
    schemaRegistryUrl: stack.schemaRegistryUrl,
    directory: home,
    until: () => delay(Number(values.minutes) * 60_000),
    seed: Number(values.seed),
    exportKinds: ['single', 'chunked'],
    copies: Number(values.copies),
    rows: Number(values.rows),
    perSecond: Number(values.rate),
    log,
    say,
  });
  for (const line of memory.lines()) say(line);
  result.faults.push(...memory.faults());
  failed = result.faults.length > 0;
  say(JSON.stringify(result, null, 2));
  say(failed ? 'NOT EQUAL' : `EQUAL (seed ${values.seed})`);
} finally {
  await stack.stop();
  await servers.disposeAsync();
  rmSync(home, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
