import { join } from 'node:path';
import { Argument } from 'commander';
import { benchBulk } from '../../../test/bench/bench-bulk.ts';
import { benchBulkFile } from '../../../test/bench/bench-bulk-file.ts';
import { benchExports } from '../../../test/bench/bench-exports.ts';
import { benchExtractors } from '../../../test/bench/bench-extractors.ts';
import { benchFairApi } from '../../../test/bench/bench-fair-api.ts';
import { benchFeed } from '../../../test/bench/bench-feed.ts';
import { benchLargeTransaction } from '../../../test/bench/bench-large-transaction.ts';
import { benchManyResources } from '../../../test/bench/bench-many-resources.ts';
import { benchNeighbours } from '../../../test/bench/bench-neighbours.ts';
import { benchScale } from '../../../test/bench/bench-scale.ts';
import { startStack } from '../../local/stack.ts';
import { type Command, type CommandContext, wholeNumber } from '../command.ts';

/** Figures, never verdicts: what a machine reaches is for a person to judge. */
export const benchCommand: Command = {
  name: 'bench',
  summary: 'measure exports, the feed and bulk jobs, with CPU and memory per process',
  notes: `What there is to measure:

  exports, feed, bulk   these three when none is named
  scale                 memory with a tenth of the rows and with all of them
  extractors            one export by one and by two extractors
  many-resources        exports of 200 resources of 100 rows each, the first and later ones
  neighbours            an endpoint's latency beside others that hang or send endless responses
  large-transaction     one account's event beside a transaction of 50,000 rows of another
  fair-api              one account's requests beside a tenant that floods the api
  bulk-file             an operation on a file of twice as many IDs as --rows, and its results by pages`,
  declare(program, perform) {
    program
      .addArgument(new Argument('[names...]', 'what to measure').choices(BENCHES))
      .option('--rows <n>', 'invoices to export or to change', wholeNumber(1, 100_000_000), 1_000_000)
      .option('--copies <n>', 'extractors, writers and dispatchers', wholeNumber(1, 16), 1)
      .action((names: string[], options: BenchOptions) =>
        perform((context) => bench(names, options, context)),
      );
  },
};

const BENCHES = [
  'exports',
  'feed',
  'bulk',
  'scale',
  'extractors',
  'many-resources',
  'neighbours',
  'large-transaction',
  'fair-api',
  'bulk-file',
];

interface BenchOptions {
  readonly rows: number;
  readonly copies: number;
}

async function bench(
  names: readonly string[],
  { rows, copies }: BenchOptions,
  { env, home, say, during, log, signal }: CommandContext,
): Promise<number> {
  const startedMs = performance.now();
  await using stack = await during('starting PostgreSQL, Kafka and the schema registry', () =>
    startStack({ home, env, say, log, signal }),
  );
  say(
    `PostgreSQL, Kafka and the schema registry up after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
  );
  const options = {
    stack,
    parts: Object.fromEntries(Object.entries(stack.startedHere).map(([name, child]) => [name, child.pid])),
    directory: join(home, 'bench'),
    rows,
    copies,
    log,
    say,
  };
  const wants = (name: string) => names.length === 0 || names.includes(name);
  if (wants('exports')) await benchExports(options);
  if (names.includes('scale')) await benchScale(options);
  if (names.includes('extractors')) await benchExtractors(options);
  if (names.includes('many-resources')) await benchManyResources(options);
  if (wants('feed')) await benchFeed(options);
  if (names.includes('neighbours')) await benchNeighbours(options);
  if (names.includes('large-transaction')) await benchLargeTransaction(options);
  if (names.includes('fair-api')) await benchFairApi(options);
  if (wants('bulk')) await benchBulk(options);
  if (names.includes('bulk-file')) await benchBulkFile(options);
  return 0;
}
