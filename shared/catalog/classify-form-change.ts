import type { Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import type { FileFact, TableFacts } from './table-facts.ts';
import { compareForm, type FormChange, type TableForm } from './table-form.ts';

/** What follows from two forms, once the rows in question were looked at. */
export type ClassifiedChange = Exclude<FormChange, { readonly kind: 'unsure' }>;

/** A file of no bytes never held a row since it was made. Asked of the server's present, whatever snapshot the session has. */
const HOLDS_ROWS = `select exists (select from unnest($1::oid[]) as f(oid) where pg_relation_size(f.oid) > 0)::text as found`;

const MAY_READ = `select has_table_privilege($1::oid, 'SELECT')::text as found`;

/**
 * Whether a row is there that was there before. `VACUUM FULL` and `CLUSTER` keep the transaction that wrote a row; a `TRUNCATE`
 * leaves no such row. Mostly the first row that is looked at is one.
 */
const hasSurvivor = (name: string): string => `
select exists (
  select from only ${name} t, pg_snapshot_xmax(pg_current_snapshot()) as now(xmax),
    lateral (select (now.xmax::text::int8 & ~4294967295::int8) | t.xmin::text::int8 as near) n
  where pg_visible_in_snapshot(
    (case when n.near < now.xmax::text::int8 then n.near else n.near - 4294967296 end)::text::xid8, $1::pg_snapshot)
)::text as found`;

/**
 * Compares as `compareForm` does, and looks at rows where the catalogs do not say enough. What can't be told apart is a reset:
 * a partition that was emptied looks as an empty one does after `VACUUM FULL`.
 */
export async function classifyFormChange(
  db: Pick<Queryable, 'query'>,
  before: TableForm,
  resource: Resource,
  facts: TableFacts,
): Promise<ClassifiedChange> {
  const change = compareForm(before, resource, facts);
  if (change.kind !== 'unsure') return change;
  const reset: ClassifiedChange = { kind: 'reset', reason: 'partition_changed' };
  if (await holdUnseenRows(db, change.attached)) return reset;
  for (const { oid, name } of change.rewritten) {
    if (!(await isFound(db, MAY_READ, [oid]))) return reset;
    if (!(await isFound(db, hasSurvivor(name), [before.snapshot]))) return reset;
  }
  return { kind: 'harmless' };
}

/** Whether tables that became partitions brought rows along, or take rows that no change tells. */
async function holdUnseenRows(db: Pick<Queryable, 'query'>, attached: readonly FileFact[]): Promise<boolean> {
  if (attached.some(({ kind, persistence }) => kind !== 'r' || persistence !== 'p')) return true;
  return attached.length > 0 && holdRows(db, attached);
}

/** Whether any of the tables holds rows, or did since it was last emptied. */
export function holdRows(db: Pick<Queryable, 'query'>, files: readonly FileFact[]): Promise<boolean> {
  return isFound(db, HOLDS_ROWS, [files.map(({ oid }) => oid)]);
}

async function isFound(db: Pick<Queryable, 'query'>, sql: string, values: unknown[]): Promise<boolean> {
  const { rows } = await db.query<{ found: string }>(sql, values);
  return rows[0]?.found === 'true';
}
