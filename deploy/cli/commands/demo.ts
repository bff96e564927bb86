import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Argument } from 'commander';
import { type ProductStory, STORIES } from '../../demo/product-stories.ts';
import { runDemo } from '../../demo/run-demo.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import { startStack } from '../../local/stack.ts';
import { type Command, type CommandContext, wholeNumber } from '../command.ts';

const FOLLOW_MS = 8_000;

/**
 * Some 220 events a second. Everything runs on one machine here and has just started, so that 250 take most of two
 * processors: the export would wait for them.
 */
const DEFAULT_RATE = 100;

/** `npm run demo`: the main job in one command, on databases and topics of its own. */
export const demoCommand: Command = {
  name: 'demo',
  summary: 'export, exact hand-off, feed and bulk while the product writes; exits 0 only if replica = source',
  declare(program, perform) {
    program
      .addArgument(
        new Argument('[product]', 'whose story it is')
          .choices(STORIES.map(({ product }) => product.name))
          .default(STORIES[0].product.name),
      )
      .option('--rows <n>', 'records of its main resource to begin with', wholeNumber(1, 10_000_000), 100_000)
      .option(
        '--rate <n>',
        'transactions a second that the product makes all along',
        wholeNumber(1, 2_000),
        DEFAULT_RATE,
      )
      .option('--wait <s>', "seconds between the export's end and the subscription", wholeNumber(0, 600), 10)
      .action((product: string, options: DemoOptions) =>
        perform((context) => demo(findStory(product), options, context)),
      );
  },
};

interface DemoOptions {
  readonly rows: number;
  readonly rate: number;
  readonly wait: number;
}

async function demo(
  story: ProductStory,
  { rows, rate, wait }: DemoOptions,
  { env, home, say, during, log, signal }: CommandContext,
): Promise<number> {
  mkdirSync(home, { recursive: true });
  const running = findRunningTandem(home);
  const what =
    running === null
      ? 'starting PostgreSQL, Kafka and the schema registry'
      : `using the parts of the Tandem that runs at ${running.apiUrl}, with databases and topics of its own`;
  const parts = { home: running === null ? home : join(home, 'demo'), env: { ...env, ...running?.parts } };
  await using stack = await during(what, () => startStack({ ...parts, say, log, signal }));
  const isEqual = await runDemo({
    stack,
    directory: join(home, 'demo'),
    downloads: join(home, 'demo', 'files'),
    story,
    rows,
    perSecond: rate,
    subscribeAfterMs: 1_000 * wait,
    followMs: FOLLOW_MS,
    log,
    say,
  });
  return isEqual ? 0 : 1;
}

function findStory(name: string): ProductStory {
  return STORIES.find(({ product }) => product.name === name) ?? STORIES[0];
}
