import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowShape, RowTexts } from '../../../shared/domain/row-shape.ts';

const JSON_NULL = 'null';
const NONE = '{}';

/**
 * Names the columns whose value is a JSON null. In a payload it looks like SQL NULL; whoever makes a row of an event has to
 * tell the two apart.
 */
export function createJsonNulls({ columns }: RowShape): (change: DecodedChange) => string {
  const places = columns.flatMap(({ type }, place) => (type.kind === 'json' ? [place] : []));
  const nullsOf = (row: RowTexts | null) =>
    row === null
      ? []
      : places.filter((place) => row[place] === JSON_NULL).map((place) => columns[place]?.name);
  return ({ before, after }) => {
    if (places.length === 0) return NONE;
    const data = nullsOf(after ?? before);
    const previous = after === null ? [] : nullsOf(before);
    return data.length + previous.length === 0 ? NONE : JSON.stringify({ data, previous });
  };
}
