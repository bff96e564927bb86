import fc from 'fast-check';
import type { MappedField, PublicField } from '../../shared/domain/public-field.ts';
import type { RowTexts, RowType } from '../../shared/domain/row-type.ts';
import { scalarType } from '../../shared/values/scalar-types.ts';

const column = (name: string, typeName: string, isKey = false) => ({
  name,
  type: scalarType(typeName, -1),
  isKey,
});

/** The columns of a table, one of each kind that a field treats in its own way. */
export const FIELD_COLUMNS = [
  column('id', 'int8', true),
  column('state', 'int4'),
  column('label', 'text'),
  column('is_open', 'bool'),
  column('data', 'jsonb'),
  column('total', 'numeric'),
  column('created_at', 'timestamptz'),
];

const STEPS = ['a', 'b', 'city', 'a.b', '"', 'é'];
const step = fc.constantFrom(...STEPS);
const texts = fc.constantFrom('draft', 'open', '1', '', 'two words', 'é\u2028');
const mapKeys: Record<string, fc.Arbitrary<string>> = {
  state: fc.constantFrom('0', '1', '2', '-3', '99'),
  label: fc.oneof(texts, fc.constantFrom('x', 'y')),
  is_open: fc.constantFrom('true', 'false'),
};

const mapOf = (name: string) => (value: fc.Arbitrary<string | number | boolean>, isClosed: boolean) =>
  fc.record(
    {
      column: fc.constant(name),
      map: fc.dictionary(mapKeys[name] as fc.Arbitrary<string>, value, {
        minKeys: 1,
        maxKeys: 4,
        noNullPrototype: true,
      }),
      otherwise: value,
    },
    { requiredKeys: isClosed ? ['column', 'map', 'otherwise'] : ['column', 'map'] },
  );

/** A field that publishes the values of a column under names. */
export const anyMap = fc
  .constantFrom(...Object.keys(mapKeys))
  .chain((name) =>
    fc.oneof(
      mapOf(name)(texts, false),
      mapOf(name)(fc.integer(), true),
      mapOf(name)(fc.boolean(), true),
      mapOf(name)(texts, true),
    ),
  )
  .map((field) => ({ name: 'mapped', ...field }) as MappedField);

const anyField = fc.oneof(
  fc.constantFrom(...FIELD_COLUMNS.map(({ name }) => name)).map((name) => ({ column: name })),
  anyMap.map(({ name: _, ...field }) => field),
  fc.record({
    column: fc.constant('data'),
    path: fc.array(step, { minLength: 1, maxLength: 3 }),
    type: fc.constantFrom('text', 'json'),
  }),
  fc.oneof(texts, fc.integer(), fc.boolean()).map((value) => ({ value })),
);

/** Fields in any order and number, with the key among them. */
export const anyFields: fc.Arbitrary<readonly PublicField[]> = fc
  .tuple(fc.array(anyField, { maxLength: 8 }), fc.nat(8))
  .map(([fields, place]) =>
    fields
      .toSpliced(place, 0, { column: 'id' })
      .map((field, index) => ({ name: `f${(index * 7) % 11}`, ...field }) as PublicField),
  );

export const fieldRowType = (fields: readonly PublicField[] | undefined): RowType => ({
  resource: 'samples',
  columns: FIELD_COLUMNS,
  ...(fields === undefined ? {} : { fields }),
});

const spaced = fc.constantFrom('', ' ', '\n ');
/** JSON as PostgreSQL may print it: with spaces, wide numbers, and a name twice. */
export const anyJson: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('null', 'true', '9007199254740993', '1.10', '""', '"a\\"}b"', '"\\u2028"', '"\\ud800"'),
    fc.string().map((text) => JSON.stringify(text.toWellFormed())),
    fc
      .tuple(fc.array(fc.tuple(step, spaced, tie('value')), { maxLength: 4 }), spaced)
      .map(
        ([members, space]) =>
          `{${space}${members.map(([name, gap, value]) => `${JSON.stringify(name)}${gap}:${gap}${value}`).join(`${space},${space}`)}${space}}`,
      ),
    fc
      .tuple(fc.array(tie('value'), { maxLength: 3 }), spaced)
      .map(([values, space]) => `[${space}${values.join(`,${space}`)}]`),
  ),
})).value;

const nullable = (value: fc.Arbitrary<string>) => fc.option(value, { freq: 4 });

/** A row of those columns, as PostgreSQL's texts. */
export const anyFieldRow: fc.Arbitrary<RowTexts> = fc.tuple(
  fc.integer().map(String),
  nullable(fc.oneof(mapKeys.state as fc.Arbitrary<string>, fc.integer().map(String))),
  nullable(
    fc.oneof(
      mapKeys.label as fc.Arbitrary<string>,
      fc.string().map((text) => text.toWellFormed()),
    ),
  ),
  nullable(fc.constantFrom('t', 'f')),
  nullable(anyJson),
  nullable(fc.constantFrom('1.10', '0', '-5.000', 'NaN')),
  nullable(fc.constantFrom('2026-01-02 03:04:05+00', 'infinity')),
);
