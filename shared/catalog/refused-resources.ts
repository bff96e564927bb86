import { ancestorsOf, type Catalog } from '../domain/catalog.ts';
import { type Finding, showFinding } from './finding.ts';

/** What the findings of a catalog come to: the source as a whole, what `source prepare` mends, and resources to do without. */
export interface SortedFindings {
  /** Nothing works before they are put right. */
  readonly ofSource: readonly Finding[];
  /** `source prepare` puts them right, on resources that are not refused. */
  readonly preparable: readonly Finding[];
  /** By resource, what is wrong and what to do: these can't be exact as they are, and all others go on. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * One table that doesn't fit must not keep the others from being exported. A resource whose account leads through a refused one is
 * refused with it, because nobody could tell whose its records are.
 */
export function sortFindings({ resources }: Catalog, findings: readonly Finding[]): SortedFindings {
  const refused = new Map<string, string>();
  const ofSource: Finding[] = [];
  for (const found of findings) {
    const { resource } = found;
    if (resource !== undefined && !isPreparable(found) && !refused.has(resource)) {
      const own = findings.filter((each) => each.resource === resource && !isPreparable(each));
      refused.set(resource, own.map(showFinding).join(' '));
    }
    if (resource === undefined && !isPreparable(found)) ofSource.push(found);
  }
  for (const resource of resources) {
    const parent = ancestorsOf(resource).findLast(({ name }) => refused.has(name));
    if (parent === undefined || refused.has(resource.name)) continue;
    refused.set(resource.name, `${resource.name}: its account is that of ${parent.name}, which is refused.`);
  }
  const isOfRefused = ({ resource }: Finding) => resource !== undefined && refused.has(resource);
  const preparable = findings.filter((found) => isPreparable(found) && !isOfRefused(found));
  return { ofSource, preparable, refused };
}

/** The catalog without its refused resources. */
export function withoutRefused(catalog: Catalog, refused: ReadonlyMap<string, string>): Catalog {
  return { ...catalog, resources: catalog.resources.filter(({ name }) => !refused.has(name)) };
}

function isPreparable({ code, sql }: Finding): boolean {
  return (code === 'replica_identity' || code === 'publication') && sql !== undefined;
}
