import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** Exports of changes may follow each other; so many are looked back. */
const MAX_LINKS = 1_000;

/** The schema that the resource's rows had when one was last exported, from the base back to an export of everything. */
const LAST_SCHEMA = `
with recursive chain as (
  select id, request->>'changes_since' as base, 1 as link from exports where id = $1
  union all
  select e.id, e.request->>'changes_since', chain.link + 1
  from chain join exports e on e.id = chain.base where chain.link < ${MAX_LINKS}
)
select c.schema_id from chain
join export_chunks c on c.export_id = chain.id and c.resource = $2 and c.schema_id is not null
order by chain.link limit 1`;

/**
 * An ALTER TABLE changes rows without an event for any of them: a new column with a default, for one. Where no row
 * was exported before, all that are there now are told of, and nothing can be amiss.
 *
 * @throws ExportFailedError when the resource's columns are not those that the earlier rows had
 */
export async function assertSameColumns(
  db: Queryable,
  baseId: string,
  resource: string,
  schemaId: number,
): Promise<void> {
  const { rows } = await db.query<{ schema_id: number }>(LAST_SCHEMA, [baseId, resource]);
  const before = rows[0]?.schema_id;
  if (before === undefined || before === schemaId) return;
  throw new ExportFailedError(
    'table_changed',
    `The columns of ${resource} have changed since the export ${baseId}: take an export without changes_since.`,
  );
}
