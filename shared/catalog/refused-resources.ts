import { ancestorsOf, type Catalog, type Resource, withAncestors } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { checkCatalog } from './check-catalog.ts';
import { type Finding, type FindingCode, showFinding } from './finding.ts';

/** What the findings of a catalog come to: the source as a whole, what `source prepare` mends, and resources to do without. */
export interface SortedFindings {
  /** Nothing works before they are put right. */
  readonly ofSource: readonly Finding[];
  /** `source prepare` puts them right, on resources that are not refused. */
  readonly preparable: readonly Finding[];
  /** By resource: these can't be exact as they are, and all others go on. */
  readonly refused: ReadonlyMap<string, Refusal>;
}

/** Why a resource is refused. */
export interface Refusal {
  /** Of the first finding. */
  readonly code: FindingCode;
  /** For the operator: everything that is wrong, and what to do. */
  readonly text: string;
}

/**
 * One table that doesn't fit must not keep the others from being exported. A resource whose account leads through a refused one is
 * refused with it, because nobody could tell whose its records are.
 */
export function sortFindings({ resources }: Catalog, findings: readonly Finding[]): SortedFindings {
  const refused = new Map<string, Refusal>();
  const ofSource: Finding[] = [];
  for (const found of findings) {
    const { resource } = found;
    if (resource !== undefined && !isPreparable(found) && !refused.has(resource)) {
      const own = findings.filter((each) => each.resource === resource && !isPreparable(each));
      refused.set(resource, { code: found.code, text: own.map(showFinding).join(' ') });
    }
    if (resource === undefined && !isPreparable(found)) ofSource.push(found);
  }
  for (const resource of resources) {
    const parent = ancestorsOf(resource).findLast(({ name }) => refused.has(name));
    if (parent === undefined || refused.has(resource.name)) continue;
    const text = `${resource.name}: its account is that of ${parent.name}, which is refused.`;
    refused.set(resource.name, { code: 'account_path', text });
  }
  const isOfRefused = ({ resource }: Finding) => resource !== undefined && refused.has(resource);
  const preparable = findings.filter((found) => isPreparable(found) && !isOfRefused(found));
  return { ofSource, preparable, refused };
}

/**
 * Those of the resources that are refused as their tables are now. Reads only, and outside of a transaction.
 *
 * @param counts whether a finding is a reason to refuse
 */
export async function findRefused(
  db: Queryable,
  catalog: Catalog,
  resources: readonly Resource[],
  counts: (found: Finding) => boolean = () => true,
): Promise<ReadonlyMap<string, Refusal>> {
  const asked = { ...catalog, resources: withAncestors(resources) };
  const { refused } = sortFindings(asked, (await checkCatalog(db, asked)).filter(counts));
  const names = resources.map(({ name }) => name);
  return new Map([...refused].filter(([name]) => names.includes(name)));
}

/** The catalog without its refused resources. */
export function withoutRefused(catalog: Catalog, refused: ReadonlyMap<string, unknown>): Catalog {
  return { ...catalog, resources: catalog.resources.filter(({ name }) => !refused.has(name)) };
}

function isPreparable({ code, sql }: Finding): boolean {
  return (code === 'replica_identity' || code === 'publication') && sql !== undefined;
}
