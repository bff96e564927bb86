import { parseArgs } from 'node:util';
import { generateDocumint } from '../../../schemas/products/documint/generate-documint.ts';
import type { Command } from '../command.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';
import { wholeNumber } from '../whole-number.ts';

/** The same rows for the same number and seed, on any machine. */
export const dataCommand: Command = {
  name: 'data',
  summary: 'fill an empty database with DocuMint sample data',
  help: `Writes to DATABASE_URL, and refuses a database that has such rows.

  --rows <n>       invoices (default 1000000)
  --accounts <n>   accounts (default 10)
  --seed <n>       (default 1)`,
  async run(args, { env, say }) {
    const { values } = parseArgs({
      args,
      options: {
        rows: { type: 'string', default: '1000000' },
        accounts: { type: 'string', default: '10' },
        seed: { type: 'string', default: '1' },
      },
    });
    const startedMs = performance.now();
    const made = await withSource(readSourceSettings(env).databaseUrl, (db) =>
      generateDocumint(db, {
        rows: wholeNumber('--rows', values.rows, 0, 100_000_000),
        accounts: wholeNumber('--accounts', values.accounts, 1, 999),
        seed: wholeNumber('--seed', values.seed, 0, 1_000_000_000),
      }),
    );
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    say(
      `${made.invoices} invoices, ${made.customers} customers, ${made.lineItems} line items in ${seconds} s`,
    );
    return 0;
  },
};
