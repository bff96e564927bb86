import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Command } from '../command.ts';
import { type ProductStory, STORIES } from '../demo/product-stories.ts';
import { runDemo } from '../demo/run-demo.ts';
import { findRunningTandem } from '../running-tandem.ts';
import { startStack } from '../stack.ts';
import { wholeNumber } from '../whole-number.ts';

const FOLLOW_MS = 8_000;

/** `npm run demo`: the main job in one command, on databases and topics of its own. */
export const demoCommand: Command = {
  name: 'demo',
  summary: 'export, exact hand-off, feed and bulk while the product writes; exits 0 only if replica = source',
  help: `  <product>       ${STORIES.map(({ product }) => product.name).join(', ')} (default ${STORIES[0].product.name})
  --rows <n>      records of its main resource to begin with (default 100000)
  --rate <n>      transactions a second that the product makes all along (default 250)
  --wait <s>      seconds between the export's end and the subscription (default 10)`,
  async run(args, { env, home, say, log, signal }) {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        rows: { type: 'string', default: '100000' },
        rate: { type: 'string', default: '250' },
        wait: { type: 'string', default: '10' },
      },
    });
    const story = findStory(positionals);
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
      story,
      rows: wholeNumber('--rows', values.rows, 1, 10_000_000),
      perSecond: wholeNumber('--rate', values.rate, 1, 2_000),
      subscribeAfterMs: 1000 * wholeNumber('--wait', values.wait, 0, 600),
      followMs: FOLLOW_MS,
      log,
      say,
    });
    return isEqual ? 0 : 1;
  },
};

/** @throws SetupError for a product that there is not */
function findStory(names: readonly string[]): ProductStory {
  const [name] = names;
  if (name === undefined) return STORIES[0];
  const story = names.length === 1 ? STORIES.find(({ product }) => product.name === name) : undefined;
  if (story !== undefined) return story;
  const known = STORIES.map(({ product }) => product.name).join(', ');
  throw new SetupError(`there is no demo of "${names.join(' ')}"; choose one of ${known}`);
}
