import { exampleBefore } from './example-row.ts';
import type { ResourceDescription } from './resource-descriptions.ts';

type Body = Readonly<Record<string, unknown>>;

/** The example of an event of a record, with the example of its resource as the record. */
export function recordEventExample(body: Body, { rowType, shown }: ResourceDescription): Body {
  const data = shown.example;
  const key = rowType.columns.filter(({ isKey }) => isKey).map(({ name }) => [name, data[name]]);
  const changed = rowType.columns.flatMap((column) => {
    const before = column.isKey ? undefined : exampleBefore(column, data[column.name]);
    return before === undefined ? [] : [[column.name, before] as const];
  });
  return {
    ...body,
    key: Object.fromEntries(key),
    data,
    ...('previous' in body ? { previous: Object.fromEntries(changed.slice(0, 1)) } : {}),
  };
}
