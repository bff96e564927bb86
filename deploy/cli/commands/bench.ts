import { join } from 'node:path';
import { Argument } from 'commander';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { startStack } from '../../local/stack.ts';
import { type Command, type CommandContext, wholeNumber } from '../command.ts';

/** What each measures. The benchmarks themselves are in `test/bench/benches.ts`. */
export const BENCHES: Readonly<Record<string, string>> = {
  exports: 'rows a second and CPU a row, beside COPY',
  formats: 'rows a second in each format',
  feed: 'latency from commit to webhook, and deliveries a second',
  bulk: 'items a second, and what the product waits for beside them',
  mixed: 'delays of the feed hop by hop beside an export and a bulk job, with the traffic of the demo',
  scale: 'memory with a tenth of the rows and with all of them',
  chunked: 'an export under one snapshot and chunk by chunk, under writes: rows a second, what VACUUM leaves',
  extractors: 'one export by one and by two extractors',
  'many-exports': 'a thousand exports of 100 rows each, sixty at once',
  'many-resources': 'exports of 200 resources of 100 rows each, the first and later ones',
  neighbours: "an endpoint's latency beside others that hang or send endless responses",
  'large-transaction': "one account's event beside a transaction of 50,000 rows of another",
  routes: 'how long capture reads the accounts of a million parents, or the references to them',
  'fair-api': "one account's requests beside a tenant that floods the api",
  dashboard: 'first byte and size of pages, and what 500 open ones cost',
  'scale-out': 'CPU a unit with 1, 2 and 4 processes; many endpoints, resources and queued jobs',
  endpoints: 'the endpoints of scale-out alone: memory, cost at rest, changes of hands, delays',
  simulate: 'leases of many endpoints and the queue of jobs, in virtual time',
  'bulk-file': 'an operation on a file of twice as many IDs as --rows, and its results by pages',
  idle: 'CPU and memory of everything while nothing happens, and the first export after a start',
};

const DEFAULTS = ['exports', 'feed', 'bulk'];

/** Figures, never verdicts: what a machine reaches is for a person to judge. */
export const benchCommand: Command = {
  name: 'bench',
  summary: 'measure exports, the feed and bulk jobs, with CPU and memory per process',
  notes: `What there is to measure:

${Object.entries(BENCHES)
  .map(([name, means]) => `  ${name.padEnd(20)}${means}`)
  .join('\n')}

Without a name: ${DEFAULTS.join(', ')}.`,
  declare(program, perform) {
    program
      .addArgument(new Argument('[names...]', 'what to measure').choices(Object.keys(BENCHES)))
      .option('--rows <n>', 'invoices to export or to change', wholeNumber(1, 100_000_000), 1_000_000)
      .option('--copies <n>', 'extractors, writers and dispatchers', wholeNumber(1, 16), 1)
      .option(
        '--endpoints <n>',
        'webhook endpoints of scale-out and simulate',
        wholeNumber(1, 1_000_000),
        10_000,
      )
      .option('--seconds <n>', 'length of a phase of mixed, at least', wholeNumber(1, 3_600), 20)
      .option('--jobs <n>', 'queued bulk jobs of scale-out and simulate', wholeNumber(1, 100_000), 1_000)
      .action((names: string[], options: BenchOptions) =>
        perform((context) => bench(names, options, context)),
      );
  },
};

interface BenchOptions {
  readonly rows: number;
  readonly copies: number;
  readonly endpoints: number;
  readonly jobs: number;
  readonly seconds: number;
}

async function bench(
  names: readonly string[],
  { rows, copies, endpoints, jobs, seconds }: BenchOptions,
  { env, home, say, during, log, signal }: CommandContext,
): Promise<number> {
  // An image of the services has no tests and no benchmarks.
  const { BENCHES: benches } = await import('../../../test/bench/benches.ts').catch(() => {
    throw new SetupError('there is nothing to measure', [
      'benchmarks need the repository: run npm run bench in it',
    ]);
  });
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
    endpoints,
    jobs,
    seconds,
    log,
    say,
  };
  for (const [name, run] of Object.entries(benches)) {
    if ((names.length === 0 ? DEFAULTS : names).includes(name)) await run(options);
  }
  return 0;
}
