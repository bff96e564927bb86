import type { Comparison, FilterNode } from '../../../shared/domain/bulk-filter.ts';
import { comparable, compare, type FilterFamily } from '../../../shared/values/filter-values.ts';

/** A column's text as PostgreSQL prints it; null is SQL NULL, undefined an unknown value. */
export type ColumnText = string | null | undefined;

/**
 * Whether a resource's `where` includes a row; undefined when a deciding value is unknown. As in SQL, no condition on
 * NULL holds, not even `ne`.
 */
export type RowFilter = (textOf: (column: string) => ColumnText) => boolean | undefined;

const HOLDS: Record<Comparison, (order: number) => boolean> = {
  eq: (order) => order === 0,
  ne: (order) => order !== 0,
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
};

/**
 * Evaluates a filter outside of PostgreSQL, with the result of `whereSql` for every value of the supported types.
 *
 * @param familyOf called for columns whose values are compared, not for those that are only tested for NULL
 * @throws RangeError for a value that does not belong to its column's family; `catalog check` finds it first
 */
export function compileRowFilter(node: FilterNode, familyOf: (column: string) => FilterFamily): RowFilter {
  if (node.kind === 'group') {
    const parts = node.nodes.map((part) => compileRowFilter(part, familyOf));
    // A condition with this result decides, whatever is unknown about the others.
    const deciding = node.by === 'or';
    return (textOf) => {
      let isKnown = true;
      for (const part of parts) {
        const result = part(textOf);
        if (result === deciding) return deciding;
        if (result === undefined) isKnown = false;
      }
      return isKnown ? !deciding : undefined;
    };
  }
  const { column } = node;
  const holds = conditionOf(node, familyOf);
  const ofNull = node.kind === 'is_null' && node.isNull;
  return (textOf) => {
    const text = textOf(column);
    if (text === undefined) return undefined;
    return text === null ? ofNull : holds(text);
  };
}

/** For a value that is not null. */
function conditionOf(
  node: Exclude<FilterNode, { kind: 'group' }>,
  familyOf: (column: string) => FilterFamily,
): (text: string) => boolean {
  if (node.kind === 'is_null') return () => !node.isNull;
  const family = familyOf(node.column);
  switch (node.kind) {
    case 'compare': {
      const holds = HOLDS[node.by];
      const value = comparable(family, node.value.text);
      return (text) => holds(compare(comparable(family, text), value));
    }
    case 'in': {
      const values = node.values.map(({ text }) => comparable(family, text));
      return (text) => {
        const own = comparable(family, text);
        return values.some((value) => compare(own, value) === 0);
      };
    }
    case 'prefix': {
      const { prefix } = node;
      // Like a cast of char(n) to text, which removes the padding.
      return (text) => (family === 'padded' ? text.replace(/ +$/, '') : text).startsWith(prefix);
    }
  }
}
