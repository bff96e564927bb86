import type { Resource } from '../../../shared/domain/catalog.ts';
import type { Reference } from './references.ts';

/** Which exported tables refer to which. */
export interface ReferenceGraph {
  /** The foreign keys of a table, and those that lead to it. Empty for a table that is taken whole. */
  from(resource: Resource): readonly Reference[];
  to(resource: Resource): readonly Reference[];
  /** Whether all rows are taken, since which of them are referred to can't be told by a query of a sensible size. */
  isWhole(resource: Resource): boolean;
}

/** Nested queries for one table; the planner's work grows with them. */
const MAX_NESTED = 100;

export function referenceGraph(references: readonly Reference[]): ReferenceGraph {
  const from = (name: string) => references.filter((reference) => reference.from.name === name);
  const to = (name: string) => references.filter((reference) => reference.to.name === name);

  const isInCircle = (name: string): boolean => {
    const reached = new Set(from(name).map((reference) => reference.to.name));
    // A set that grows while it is walked is walked to its end.
    for (const each of reached) for (const reference of from(each)) reached.add(reference.to.name);
    return reached.has(name);
  };

  const sizes = new Map<string, number>();
  /** Nested queries that ask for the rows which refer to a table; infinite for one that is taken whole. */
  const sizeOf = (name: string): number => {
    const known = sizes.get(name);
    if (known !== undefined) return known;
    let size = Infinity;
    if (!isInCircle(name)) {
      size = to(name).reduce((sum, { from: { name: child } }) => {
        const nested = sizeOf(child);
        return sum + 1 + (nested === Infinity ? 0 : nested);
      }, 0);
    }
    if (size > MAX_NESTED) size = Infinity;
    sizes.set(name, size);
    return size;
  };

  const isWhole = ({ name }: Resource) => sizeOf(name) === Infinity;
  return {
    isWhole,
    from: (resource) => (isWhole(resource) ? [] : from(resource.name)),
    to: (resource) => (isWhole(resource) ? [] : to(resource.name)),
  };
}
