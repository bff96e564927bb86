import type { Queryable } from '../../postgres/queryable.ts';

export interface EndedExport {
  readonly exportId: string;
  /** Whether its files are published, or were. Of any other, what is in the export's folder is a left-over. */
  readonly isPublished: boolean;
}

/** Those of the given exports that have ended, and that no writer is still assembling. Unknown ones are left alone. */
export async function findEndedExports(db: Queryable, exportIds: readonly string[]): Promise<EndedExport[]> {
  const { rows } = await db.query<{ id: string; is_published: boolean }>({
    name: 'find_ended_exports',
    text: `select id, status in ('completed', 'expired') as is_published from exports
           where id = any($1) and status in ('completed', 'failed', 'cancelled', 'expired')
             and (assembly_lease_expires_at is null or assembly_lease_expires_at < now())`,
    values: [exportIds],
  });
  return rows.map((row) => ({ exportId: row.id, isPublished: row.is_published }));
}
