import { quoteTable } from '../postgres/quote.ts';
import { type Application, type NumberedItem, skipCodeSql } from './apply-statement.ts';
import { createBinder } from './binder.ts';
import { comparableType } from './bulk-table.ts';
import { accountSql, columnSql, ROW } from './filter-sql.ts';
import type { Statement } from './select-items.ts';

/** Asks of each item whether there is a reason to leave it alone: rows of `seq` and `code`, which is null for "go on". */
export function checkStatement(application: Application, items: readonly NumberedItem[]): Statement {
  const { table } = application;
  const binder = createBinder([items.map(({ seq }) => seq)]);
  const keys = table.key.map((column, index) => ({
    name: `k${index + 1}`,
    place: columnSql(column.name),
    type: comparableType(column),
    texts: binder.bind(items.map(({ key }) => key[index] ?? '')),
  }));
  const isRow = keys.map(({ name, place, type }) => `${place} = i.${name}::${type}`).join(' and ');
  const account = accountSql(table, application.sourceId, binder);
  const skipCode = skipCodeSql(application, binder);
  const text = `
select i.seq::text, case when ${columnSql(table.account.name)} is null then 'not_found' else ${skipCode} end as code
from unnest($1::int[], ${keys.map(({ texts }) => `${texts}::text[]`).join(', ')})
  as i (seq, ${keys.map(({ name }) => name).join(', ')})
left join ${quoteTable(table.resource.table)} ${ROW} on ${isRow} and ${account}`;
  return { text, values: binder.values };
}
