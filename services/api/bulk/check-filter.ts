import type { Pool } from 'pg';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { type TypedValue, typedValues } from '../../../shared/bulk/filter-sql.ts';
import { selectItems } from '../../../shared/bulk/select-items.ts';
import { formFault, inputText } from '../../../shared/bulk/value-form.ts';
import {
  FilterError,
  type FilterInput,
  type FilterNode,
  matchesEverything,
  parseFilter,
} from '../../../shared/domain/bulk-filter.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { invalid } from '../http/validate.ts';
import { isAccepted } from './source-errors.ts';

/** Limit of wrong values that are located one by one. Further ones are not reported. */
const MAX_SOUGHT = 10;

/** @throws AppError `invalid` for a malformed filter, or for one that matches every record without `all: true` */
export function readFilter(input: FilterInput, isAllMeant: boolean): FilterNode {
  const filter = orInvalid(() => parseFilter(input));
  if (matchesEverything(filter) && !isAllMeant) {
    const detail = 'matches every record; to confirm that, send all: true';
    throw invalid([{ pointer: '/filter', detail }]);
  }
  return filter;
}

/**
 * Checks a filter against the table: first by the documented forms of values, then by PostgreSQL.
 *
 * @throws AppError `invalid` with a pointer to what does not fit
 */
export async function checkFilter(
  filter: FilterNode,
  table: BulkTable,
  source: Pool,
  sourceId: string,
): Promise<void> {
  const statement = orInvalid(() => selectItems(table, filter, sourceId));
  const values = orInvalid(() => typedValues(filter, table));
  const formless = values.flatMap((value): FieldError[] => {
    const detail = formFault(value, value.typeOid);
    return detail === undefined ? [] : [{ pointer: value.pointer, detail }];
  });
  if (formless.length > 0) throw invalid(formless);
  const refused = await findRefused(source, values);
  if (refused.length > 0) throw invalid(refused);
  if (await isAccepted(source, `explain ${statement.text}`, statement.values)) return;
  throw invalid([
    { pointer: '/filter', detail: 'compares a field with an operator that its type does not support' },
  ]);
}

async function findRefused(source: Pool, values: readonly TypedValue[]): Promise<FieldError[]> {
  const refused: FieldError[] = [];
  for (const group of Map.groupBy(values, ({ type }) => type).values()) {
    // Bisects the values: about fourteen queries find one wrong value among ten thousand.
    const left: (readonly TypedValue[])[] = [group];
    for (let part = left.pop(); part !== undefined && refused.length < MAX_SOUGHT; part = left.pop()) {
      const [first] = part;
      if (first === undefined || (await areAccepted(source, part))) continue;
      if (part.length === 1) refused.push({ pointer: first.pointer, detail: `is not of type ${first.type}` });
      else {
        const half = Math.ceil(part.length / 2);
        left.push(part.slice(half), part.slice(0, half));
      }
    }
  }
  return refused;
}

/** Whether all values, which are of one type, can be read as values of it. */
function areAccepted(source: Pool, values: readonly TypedValue[]): Promise<boolean> {
  const [first] = values;
  if (first === undefined) return Promise.resolve(true);
  const texts = values.map(({ text, typeOid }) => inputText(text, typeOid));
  if (!first.type.endsWith('[]')) {
    return isAccepted(source, `select ($1::text[]::${first.type}[]) is null`, [texts]);
  }
  // PostgreSQL can't hold a list of different arrays as one array, so they are checked one by one. There are at most as
  // many as conditions.
  const casts = texts.map((_, index) => `($${index + 1}::text::${first.type}) is null`);
  return isAccepted(source, `select ${casts.join(' or ')}`, texts);
}

function orInvalid<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw invalid([{ pointer: error.pointer, detail: error.message }]);
  }
}
