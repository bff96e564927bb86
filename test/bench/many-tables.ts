import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SampleProduct } from '../../deploy/samples/sample-plan.ts';

/** A product of `count` equal tables, with columns as they are common. Its catalog is written into `directory`. */
export async function manyTables(directory: string, count: number): Promise<SampleProduct> {
  const names = Array.from({ length: count }, (_, index) => `things_${String(index).padStart(3, '0')}`);
  await mkdir(directory, { recursive: true });
  const catalog = join(directory, `many-${count}-tables.yaml`);
  const entries = names.map(
    (name) => `  ${name}: { table: many.${name}, event: ${name}, key: [id], account: account_id }`,
  );
  await writeFile(catalog, `catalog: many\nresources:\n${entries.join('\n')}\n`);
  const create: SampleProduct['create'] = async (db) => {
    await db.query('create schema if not exists many');
    for (const name of names) {
      await db.query(
        `create table if not exists many.${name} (id bigint primary key, account_id text not null, title text,
           amount numeric(12,2), settings jsonb, created_at timestamptz not null default now())`,
      );
    }
  };
  return {
    name: 'many',
    catalog,
    mainResource: names[0] ?? '',
    create,
    async generate(db, { rows }) {
      await create(db);
      for (const name of names) {
        await db.query(
          `insert into many.${name} (id, account_id, title, amount, settings)
           select g, 'acc_001', 'thing number ' || g, g * 1.25, jsonb_build_object('size', g)
           from generate_series(1, $1::bigint) g`,
          [rows],
        );
      }
      await db.query('analyze');
      return { counts: Object.fromEntries(names.map((name) => [name, rows])), accounts: ['acc_001'] };
    },
    async isFilled(db) {
      const { rows } = await db.query<{ found: string | null }>(`select to_regclass($1)::text as found`, [
        `many.${names[0]}`,
      ]);
      return rows[0]?.found != null;
    },
  };
}
