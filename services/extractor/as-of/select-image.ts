import type { RowType } from '../../../shared/domain/row-type.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import type { PublicShape } from '../../../shared/values/public-shape.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type RowSelection, rangeField } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';

/** The selection's conditions on a record besides its account, as indexes in `rowType`. -1: no condition. */
export interface ImageConditions {
  readonly softDeletePlace: number;
  readonly rangePlace: number;
  /** From inclusive, to exclusive; empty without a range. */
  readonly rangeValues: readonly string[];
  /** The SQL type of the range column; undefined without a range. */
  readonly rangeType: string | undefined;
}

/**
 * @param rowType of the images: the columns', or the public one
 * @throws ExportFailedError when a condition uses a column that is not public in its stored form, because no event
 * holds it
 */
export async function readImageConditions(
  { resource, request }: RowSelection,
  rowType: RowType,
  shape: PublicShape,
  session: SourceSession,
): Promise<ImageConditions> {
  const { date_range: range } = request;
  const column = rangeField(resource, request);
  const rangePlace = placeOf(rowType, shape, column);
  return {
    softDeletePlace: request.include_deleted ? -1 : placeOf(rowType, shape, resource.softDelete),
    rangePlace,
    rangeValues: range === null || rangePlace < 0 ? [] : [range.from, range.to],
    rangeType: column === undefined ? undefined : await typeOfColumn({ resource, column }, session),
  };
}

function placeOf(rowType: RowType, shape: PublicShape, column: string | undefined): number {
  if (column === undefined) return -1;
  // Events hold a column's earlier values only if the column is public in its stored form.
  const publicName = shape.nameOf(column);
  const name = rowType === shape.rowType ? publicName : column;
  const place = rowType.columns.findIndex((each) => each.name === name);
  if (place >= 0 && publicName !== undefined) return place;
  throw new ExportFailedError(
    'invalid_request',
    `The column that says whether a record of ${rowType.resource} is deleted, or in the range, is hidden, so its past is not recorded: ` +
      'use include_deleted, without date_range.',
  );
}

async function typeOfColumn(
  { resource, column }: Pick<RowSelection, 'resource'> & { readonly column: string },
  session: SourceSession,
): Promise<string> {
  const { rows } = await session.query(
    'select format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = $1::regclass and attname = $2',
    [quoteTable(resource.table), column],
  );
  const type = rows[0]?.type;
  if (type == null)
    throw new ExportFailedError('table_changed', `${resource.name} has lost its column ${column}.`);
  return type;
}

/** The condition that `value`, an SQL expression for a text, is in the range whose ends are the parameters `from` and `to`. */
export function inRangeSql(rangeType: string, value: string, from: string, to: string): string {
  const typed = `${value}::${rangeType}`;
  return `${typed} >= ${from}::timestamptz and ${typed} < ${to}::timestamptz`;
}

/** Whether each value, a wire text, is in the range. A null is not. */
export async function isInRange(
  session: Pick<SourceSession, 'query'>,
  { rangeType = 'timestamptz', rangeValues }: ImageConditions,
  values: readonly (string | null)[],
): Promise<boolean[]> {
  const { rows } = await session.query(
    `select u.place::text as place from unnest($1::text[]) with ordinality as u(value, place)
     where ${inRangeSql(rangeType, 'u.value', '$2', '$3')}`,
    [values, ...rangeValues],
  );
  const areIn = values.map(() => false);
  for (const { place } of rows) areIn[Number(place) - 1] = true;
  return areIn;
}
