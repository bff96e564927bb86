import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startStack } from '../../deploy/local/stack.ts';
import { createLog } from '../../shared/runtime/log.ts';
import { runChaos } from './run-chaos.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    copies: { type: 'string', default: '2' },
    rows: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '100' },
  },
});

const home = mkdtempSync(join(tmpdir(), 'tandem-chaos-'));
const log = createLog('warn');
const stack = await startStack({ home, env: process.env, log, say: console.log });
let failed = true;
try {
  const startedMs = Date.now();
  const say = (line: string) =>
    console.log(`${((Date.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const result = await runChaos({
    stack,
    directory: home,
    durationMs: Number(values.minutes) * 60_000,
    seed: Number(values.seed),
    copies: Number(values.copies),
    rows: Number(values.rows),
    perSecond: Number(values.rate),
    log,
    say,
  });
  failed = result.faults.length > 0;
  say(JSON.stringify(result, null, 2));
  say(failed ? 'NOT EQUAL' : `EQUAL (seed ${values.seed})`);
} finally {
  await stack.stop();
  rmSync(home, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
