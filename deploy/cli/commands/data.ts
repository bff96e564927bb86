import { Option } from 'commander';
import { PRODUCTS } from '../../samples/products.ts';
import { type Command, type CommandContext, wholeNumber } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

/** The same rows for the same number and seed, on any machine. */
export const dataCommand: Command = {
  name: 'data',
  summary: 'fill an empty database with sample data',
  notes: 'Writes to DATABASE_URL, and refuses a database that has such rows.',
  declare(program, perform) {
    program
      .addOption(
        new Option('--product <name>', 'whose data')
          .choices(PRODUCTS.map(({ name }) => name))
          .default(PRODUCTS[0].name),
      )
      .option('--rows <n>', 'records of its main resource', wholeNumber(0, 100_000_000), 1_000_000)
      .option('--accounts <n>', 'accounts', wholeNumber(1, 999), 10)
      .option('--seed <n>', 'another seed makes other rows', wholeNumber(0, 1_000_000_000), 1)
      .action((options: DataOptions) => perform((context) => makeData(options, context)));
  },
};

interface DataOptions {
  readonly product: string;
  readonly rows: number;
  readonly accounts: number;
  readonly seed: number;
}

async function makeData(
  { product: name, rows, accounts, seed }: DataOptions,
  { env, say, during }: CommandContext,
): Promise<number> {
  const product = PRODUCTS.find((one) => one.name === name) ?? PRODUCTS[0];
  const startedMs = performance.now();
  const { databaseUrl } = readSourceSettings(env);
  const made = await during(`making ${rows} records of ${product.name}`, () =>
    withSource(databaseUrl, (db) => product.generate(db, { rows, accounts, seed })),
  );
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const counts = Object.entries(made.counts).map(([resource, count]) => `${count} ${resource}`);
  say(`${counts.join(', ')} in ${seconds} s`);
  return 0;
}
