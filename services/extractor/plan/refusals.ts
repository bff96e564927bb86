import { findRefused } from '../../../shared/catalog/refused-resources.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** The resources that could not be exported exactly at the start, until their tables are corrected. */
export interface Refusals {
  /**
   * Free for resources that fit.
   *
   * @throws ExportFailedError when one of these does not fit its table yet
   */
  assertFit(db: Queryable, resources: readonly Resource[]): Promise<void>;
}

export function createRefusals(catalog: Catalog, found: ReadonlyMap<string, unknown>): Refusals {
  const refused = new Set(found.keys());
  return {
    async assertFit(db, resources) {
      if (!resources.some(({ name }) => refused.has(name))) return;
      const still = await findRefused(db, catalog, resources);
      for (const { name } of resources) if (!still.has(name)) refused.delete(name);
      const names = resources.map(({ name }) => name).filter((name) => refused.has(name));
      if (names.length === 0) return;
      throw new ExportFailedError(
        'table_unfit',
        `${names.join(', ')} can't be exported as the tables are: export the others, and ask the operator, to whom ` +
          '`tandem catalog check` says what to do.',
      );
    },
  };
}
