import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { sortFindings } from '../../../shared/catalog/refused-resources.ts';
import { type Catalog, type Resource, withAncestors } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** The resources that can't be exported exactly, as found at the start, until they are mended. */
export interface Refusals {
  /**
   * Costs nothing for resources that fit.
   *
   * @throws ExportFailedError when one of these does not fit its table yet
   */
  assertFit(db: Queryable, resources: readonly Resource[]): Promise<void>;
}

export function createRefusals(catalog: Catalog, found: ReadonlyMap<string, string>): Refusals {
  const refused = new Set(found.keys());
  return {
    async assertFit(db, resources) {
      if (!resources.some(({ name }) => refused.has(name))) return;
      const asked = { ...catalog, resources: withAncestors(resources) };
      const still = sortFindings(asked, await checkCatalog(db, asked)).refused;
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
