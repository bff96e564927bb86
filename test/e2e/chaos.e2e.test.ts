import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '../../shared/runtime/log.ts';
import { runChaos } from '../chaos/run-chaos.ts';
import { testStack } from '../support/stack.ts';

const CHAOS_MS = 120_000;

test('two minutes of SIGKILL at random, with two of each service, lose nothing and repeat nothing', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-chaos-'));
  // A new seed each run finds more than a fixed one; it is printed, so that a failure can be played again.
  const seed = Math.floor(Date.now() / 1000) % 1_000_000;
  console.log(`npm run chaos -- --minutes 2 --seed ${seed}`);
  try {
    const result = await runChaos({
      stack: testStack(),
      directory,
      durationMs: CHAOS_MS,
      seed,
      copies: 2,
      rows: 3_000,
      perSecond: 80,
      log: silentLog,
      say: () => undefined,
    });
    expect(result.faults).toEqual([]);
    expect(result.exports).toBeGreaterThan(0);
    expect(result.kills).toBeGreaterThan(10);
    expect(result.deliveries).toBeGreaterThan(0);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}, 500_000);
