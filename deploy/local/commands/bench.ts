import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchBulk } from '../bench/bench-bulk.ts';
import { benchBulkFile } from '../bench/bench-bulk-file.ts';
import { benchExports } from '../bench/bench-exports.ts';
import { benchExtractors } from '../bench/bench-extractors.ts';
import { benchFairApi } from '../bench/bench-fair-api.ts';
import { benchFeed } from '../bench/bench-feed.ts';
import { benchLargeTransaction } from '../bench/bench-large-transaction.ts';
import { benchManyResources } from '../bench/bench-many-resources.ts';
import { benchNeighbours } from '../bench/bench-neighbours.ts';
import { benchScale } from '../bench/bench-scale.ts';
import type { Command } from '../command.ts';
import { startStack } from '../stack.ts';
import { wholeNumber } from '../whole-number.ts';

/** Figures, never verdicts: what a machine reaches is for a person to judge. */
export const benchCommand: Command = {
  name: 'bench',
  summary: 'measure exports, the feed and bulk operations, with CPU and memory per process',
  help: `  tandem bench [exports] [feed] [bulk]   these three when none is named
  tandem bench scale                      memory with a tenth of the rows and with all of them
  tandem bench extractors                 one export by one and by two extractors
  tandem bench many-resources             exports of 200 resources of 100 rows each, the first and later ones
  tandem bench neighbours                 an endpoint's latency beside others that hang or answer without an end
  tandem bench large-transaction          one account's event beside a transaction of 50,000 rows of another
  tandem bench fair-api                   one account's requests beside a tenant that floods the api
  tandem bench bulk-file                  an operation on a file of twice as many IDs as --rows, and its results by pages

  --rows <n>     invoices to export or to change (default 1000000)
  --copies <n>   extractors, writers and dispatchers (default 1)`,
  async run(args, { env, home, say, log, signal }) {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { rows: { type: 'string', default: '1000000' }, copies: { type: 'string', default: '1' } },
    });
    const startedMs = performance.now();
    await using stack = await startStack({ home, env, say, log, signal });
    say(
      `PostgreSQL, Kafka and the schema registry up after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
    );
    const options = {
      stack,
      parts: Object.fromEntries(Object.entries(stack.startedHere).map(([name, child]) => [name, child.pid])),
      directory: join(home, 'bench'),
      rows: wholeNumber('--rows', values.rows, 1, 100_000_000),
      copies: wholeNumber('--copies', values.copies, 1, 16),
      log,
      say,
    };
    const wants = (name: string) => positionals.length === 0 || positionals.includes(name);
    if (wants('exports')) await benchExports(options);
    if (positionals.includes('scale')) await benchScale(options);
    if (positionals.includes('extractors')) await benchExtractors(options);
    if (positionals.includes('many-resources')) await benchManyResources(options);
    if (wants('feed')) await benchFeed(options);
    if (positionals.includes('neighbours')) await benchNeighbours(options);
    if (positionals.includes('large-transaction')) await benchLargeTransaction(options);
    if (positionals.includes('fair-api')) await benchFairApi(options);
    if (wants('bulk')) await benchBulk(options);
    if (positionals.includes('bulk-file')) await benchBulkFile(options);
    return 0;
  },
};
