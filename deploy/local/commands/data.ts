import { parseArgs } from 'node:util';
import { PRODUCTS } from '../../../schemas/products/products.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Command } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';
import { wholeNumber } from '../whole-number.ts';

/** The same rows for the same number and seed, on any machine. */
export const dataCommand: Command = {
  name: 'data',
  summary: 'fill an empty database with sample data',
  help: `Writes to DATABASE_URL, and refuses a database that has such rows.

  --product <name> ${PRODUCTS.map(({ name }) => name).join(', ')} (default ${PRODUCTS[0].name})
  --rows <n>       records of its main resource (default 1000000)
  --accounts <n>   accounts (default 10)
  --seed <n>       (default 1)`,
  async run(args, { env, say }) {
    const { values } = parseArgs({
      args,
      options: {
        product: { type: 'string', default: PRODUCTS[0].name },
        rows: { type: 'string', default: '1000000' },
        accounts: { type: 'string', default: '10' },
        seed: { type: 'string', default: '1' },
      },
    });
    const product = PRODUCTS.find(({ name }) => name === values.product);
    if (product === undefined) {
      throw new SetupError(
        `there is no product "${values.product}": ${PRODUCTS.map(({ name }) => name).join(', ')}`,
      );
    }
    const startedMs = performance.now();
    const made = await withSource(readSourceSettings(env).databaseUrl, (db) =>
      product.generate(db, {
        rows: wholeNumber('--rows', values.rows, 0, 100_000_000),
        accounts: wholeNumber('--accounts', values.accounts, 1, 999),
        seed: wholeNumber('--seed', values.seed, 0, 1_000_000_000),
      }),
    );
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const counts = Object.entries(made.counts).map(([name, count]) => `${count} ${name}`);
    say(`${counts.join(', ')} in ${seconds} s`);
    return 0;
  },
};
