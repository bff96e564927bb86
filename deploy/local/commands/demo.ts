import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Command } from '../command.ts';
import { runDemo } from '../demo/run-demo.ts';
import { findRunningTandem } from '../running-tandem.ts';
import { startStack } from '../stack.ts';
import { wholeNumber } from '../whole-number.ts';

/** `npm run demo`: the main job in one command, on databases and topics of its own. */
export const demoCommand: Command = {
  name: 'demo',
  summary: 'export, exact hand-off and feed while the product writes; exits 0 only if replica = source',
  help: `  --rows <n>      invoices to begin with (default 100000)
  --rate <n>      transactions a second that the product makes all along (default 250)
  --wait <s>      seconds between the export's end and the subscription (default 10)`,
  async run(args, { env, home, say, log, signal }) {
    const { values } = parseArgs({
      args,
      options: {
        rows: { type: 'string', default: '100000' },
        rate: { type: 'string', default: '250' },
        wait: { type: 'string', default: '10' },
      },
    });
    mkdirSync(home, { recursive: true });
    const running = findRunningTandem(home);
    say(
      running === null
        ? 'starting PostgreSQL, Kafka and the schema registry'
        : `using the parts of the Tandem that runs at ${running.apiUrl}, with databases and topics of its own`,
    );
    await using stack = await startStack({
      home: running === null ? home : join(home, 'demo'),
      env: { ...env, ...running?.parts },
      say,
      log,
      signal,
    });
    const isEqual = await runDemo({
      stack,
      directory: join(home, 'demo'),
      downloads: join(home, 'demo', 'files'),
      rows: wholeNumber('--rows', values.rows, 1, 10_000_000),
      perSecond: wholeNumber('--rate', values.rate, 1, 2_000),
      subscribeAfterMs: 1000 * wholeNumber('--wait', values.wait, 0, 600),
      log,
      say,
    });
    return isEqual ? 0 : 1;
  },
};
