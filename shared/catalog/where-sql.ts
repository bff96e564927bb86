import type { Comparison, FilterNode } from '../domain/bulk-filter.ts';
import type { Resource } from '../domain/catalog.ts';

const OPERATORS: Record<Comparison, string> = { eq: '=', ne: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' };

/**
 * The resource's `where` in SQL, as a list of at most one condition. Parameters have their columns' types, so no cast truncates or
 * rounds a value. `compileRowFilter` decides the same for a change in the feed.
 *
 * @param columnSql the column with its table's alias
 * @param addValue takes a value and returns its parameter, such as `$3`
 */
export function whereSql(
  { where }: Pick<Resource, 'where'>,
  columnSql: (column: string) => string,
  addValue: (text: string) => string,
): string[] {
  return where === undefined ? [] : [nodeSql(where, columnSql, addValue)];
}

function nodeSql(
  node: FilterNode,
  columnSql: (column: string) => string,
  addValue: (text: string) => string,
): string {
  if (node.kind === 'group') {
    if (node.nodes.length === 0) return 'true';
    return `(${node.nodes.map((part) => nodeSql(part, columnSql, addValue)).join(` ${node.by} `)})`;
  }
  const place = columnSql(node.column);
  switch (node.kind) {
    case 'compare':
      return `${place} ${OPERATORS[node.by]} ${addValue(node.value.text)}`;
    case 'in':
      return `${place} = any (${addValue(arrayText(node.values.map(({ text }) => text)))})`;
    case 'is_null':
      return `${place} is ${node.isNull ? '' : 'not '}null`;
    case 'prefix':
      return `starts_with(${place}::text, ${addValue(node.prefix)}::text)`;
  }
}

/** PostgreSQL's text of an array, so that every parameter is a text. */
function arrayText(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
