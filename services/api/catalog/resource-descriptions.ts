import { setImmediate } from 'node:timers/promises';
import { canBeNamed } from '../../../shared/bulk/item-ids.ts';
import { type CatalogValue, findOperation } from '../../../shared/bulk/operation.ts';
import { paramsOf } from '../../../shared/bulk/public-params.ts';
import {
  type ColumnDescription,
  describeTables,
  findTable,
  rowTypeOf,
  type TableDescription,
  visibleColumns,
} from '../../../shared/catalog/describe-table.ts';
import { structuredKeyColumns } from '../../../shared/catalog/key-limits.ts';
import { tellsOldRows } from '../../../shared/catalog/replica-identity.ts';
import { type Catalog, leaves, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../shared/domain/export-request.ts';
import {
  columnOfField,
  isPlain,
  type MappedField,
  type PathType,
  type PublicField,
} from '../../../shared/domain/public-field.ts';
import { publicKey, publicRange } from '../../../shared/domain/public-names.ts';
import type { Column, RowType } from '../../../shared/domain/row-type.ts';
import { loadTypes, type Types } from '../../../shared/values/database-types.ts';
import { createPublicShape, type PublicShape } from '../../../shared/values/public-shape.ts';
import { DATE_TYPES, type SourceFacts } from '../admin/source-facts.ts';
import { relatedOf } from '../exports/request.ts';
import { exampleBefore, exampleRow } from './example-row.ts';
import {
  type FilterOperator,
  filterOperatorsOf,
  type JsonType,
  jsonTypeOf,
  maxLengthOf,
  readTypeTraits,
  type TypeTraits,
} from './field-types.ts';
import type { ShownField, ShownOperation, ShownResource } from './schemas.ts';

/** A resource as customers see it, except for whether its table fits, with the row type of its files. */
export interface ResourceDescription {
  readonly shown: Omit<ShownResource, 'unfit'>;
  readonly rowType: RowType;
}

/**
 * Describes resources from the catalog and the live tables.
 *
 * @throws AppError `unavailable` when the source does not respond
 */
export type DescribeResources = (resources: readonly Resource[]) => Promise<readonly ResourceDescription[]>;

/** Lifetime of a cached description: pages that build several forms query once, and an altered table shows soon. */
const KEPT_MS = 10_000;

export function createResourceDescriber(
  catalog: Catalog,
  { source, now }: { source: Pick<SourceFacts, 'read'>; now: () => number },
): DescribeResources {
  const known = new Map<string, { readonly atMs: number; readonly description: ResourceDescription }>();
  const isFresh = ({ name }: Resource) =>
    now() - (known.get(name)?.atMs ?? Number.NEGATIVE_INFINITY) < KEPT_MS;
  return async (resources) => {
    const missing = resources.filter((resource) => !isFresh(resource));
    if (missing.length > 0) {
      const facts = await readFacts(source, missing);
      for (const resource of missing) {
        known.set(resource.name, { atMs: now(), description: describe(resource, facts, catalog) });
        // Lets other requests run in between: a catalog may have hundreds of resources.
        await setImmediate();
      }
    }
    return resources.flatMap(({ name }) => known.get(name)?.description ?? []);
  };
}

interface Facts {
  readonly tables: readonly TableDescription[];
  readonly types: Types;
  readonly traits: ReadonlyMap<number, TypeTraits>;
}

/** Tables per query, so that it is faster than the api's timeout even on a busy machine. */
const TABLES_PER_QUERY = 25;

function readFacts(source: Pick<SourceFacts, 'read'>, resources: readonly Resource[]): Promise<Facts> {
  return source.read('the tables of the resources', async (db) => {
    const wanted = resources.map(({ table }) => table);
    const tables: TableDescription[] = [];
    for (let start = 0; start < wanted.length; start += TABLES_PER_QUERY) {
      tables.push(...(await describeTables(db, wanted.slice(start, start + TABLES_PER_QUERY))));
    }
    const typeOids = tables.flatMap(({ columns }) => columns.map(({ baseTypeOid }) => baseTypeOid));
    return { tables, types: await loadTypes(db), traits: await readTypeTraits(db, typeOids) };
  });
}

/** A missing table has no columns, and its resource still exists. */
const NO_TABLE = { columns: [], relations: [] } as unknown as TableDescription;

function describe(
  resource: Resource,
  { tables, types, traits }: Facts,
  catalog: Catalog,
): ResourceDescription {
  const found = findTable(tables, resource.table);
  const table = found ?? NO_TABLE;
  const columns = visibleColumns(table, resource);
  // Without its table, a resource's fields are unknown too.
  const shownResource = found === undefined ? { ...resource, fields: undefined } : resource;
  const rowType = rowTypeOf(table, shownResource, types);
  const shape = createPublicShape(rowType);
  const describeColumn = (column: ColumnDescription) => describeField(column, resource, types, traits);
  const describeAll = () => describeFields(shape, rowType, columns, traits, describeColumn);
  const hintsOf = (name: string) => {
    const column = columns.find((candidate) => candidate.name === name);
    return {
      labels: (column && traits.get(column.baseTypeOid)?.labels) ?? null,
      maxLength: column === undefined ? null : maxLengthOf(column),
    };
  };
  const nulls = new Set(resource.softDelete === undefined ? [] : [resource.softDelete]);
  const { name, event, key, softDelete, related, syncLimit } = resource;
  return {
    rowType: shape.rowType,
    shown: {
      name,
      key: [...publicKey(resource)],
      soft_delete: (softDelete === undefined ? undefined : shape.nameOf(softDelete)) ?? null,
      fields: describeAll(),
      related: [...related],
      exports: describeExports(resource, table, columns, catalog, shape),
      operations: Object.keys(resource.operations).map((operation) =>
        describeOperation(operation, resource, table, describeColumn),
      ),
      selectable_by_ids: key.length > 0 && canBeNamed(columns.filter((column) => key.includes(column.name))),
      max_sync_items: syncLimit,
      event_types: ['created', 'updated', 'deleted'].map((verb) => `${event}.${verb}`),
      example: exampleRow(rowType, shape, hintsOf, nulls),
    },
  };
}

/** The fields that customers see, in their order. */
function describeFields(
  { rowType: { columns: shown } }: PublicShape,
  { fields }: RowType,
  columns: readonly ColumnDescription[],
  traits: ReadonlyMap<number, TypeTraits>,
  describeColumn: (column: ColumnDescription) => ShownField,
): ShownField[] {
  if (fields === undefined) return columns.map(describeColumn);
  return fields.map((field, index) => {
    const { name, type, isKey } = shown[index] as Column;
    const column = columns.find((candidate) => candidate.name === columnOfField(field));
    if (isPlain(field) && column !== undefined) return { ...describeColumn(column), name, is_key: isKey };
    const { jsonType, format } = jsonTypeOf(type);
    return {
      name,
      type: MADE_TYPES[jsonType] ?? jsonType,
      json_type: jsonType,
      format,
      nullable: 'value' in field ? false : 'path' in field || column?.isNotNull !== true,
      is_key: false,
      values: valuesOf(field, column && traits.get(column.baseTypeOid)?.labels),
      max_length: null,
      filters:
        'map' in field ? ['eq', 'ne', 'in', 'is_null'] : 'path' in field ? MEMBER_FILTERS[field.type] : [],
    };
  });
}

/** The conditions that a filter may have on a member of a document. */
const MEMBER_FILTERS: Record<PathType, FilterOperator[]> = {
  text: ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'prefix', 'is_null'],
  json: ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'is_null'],
};

/** PostgreSQL's names of the types that the catalog's own fields have. */
const MADE_TYPES: Partial<Record<JsonType, string>> = {
  string: 'text',
  integer: 'bigint',
  boolean: 'boolean',
  any: 'jsonb',
};

/** All values that a field of strings can have, where that is known. */
function valuesOf(field: PublicField, labels: readonly string[] | null | undefined): string[] | null {
  if ('value' in field) return typeof field.value === 'string' ? [field.value] : null;
  if (!('map' in field)) return null;
  const { map, otherwise } = field;
  const all =
    labels == null
      ? otherwise === undefined
        ? []
        : [...Object.values(map), otherwise]
      : labels.map((label) => map[label] ?? otherwise ?? label);
  const values = [...new Set(all)].filter((value) => typeof value === 'string');
  return values.length === 0 ? null : values;
}

function describeField(
  column: ColumnDescription,
  resource: Resource,
  types: Types,
  traits: ReadonlyMap<number, TypeTraits>,
): ShownField {
  const { name, typeName, typeOid, typeModifier, baseTypeOid, isNotNull } = column;
  const { jsonType, format } = jsonTypeOf(types.valueType(typeOid, typeModifier));
  const isKey = resource.key.includes(name);
  const traitsOfType = traits.get(baseTypeOid);
  return {
    name,
    type: typeName,
    json_type: jsonType,
    format,
    nullable: !isNotNull && !isKey,
    is_key: isKey,
    values: traitsOfType?.labels == null ? null : [...traitsOfType.labels],
    max_length: maxLengthOf(column),
    filters: filterOperatorsOf(column, jsonType, traitsOfType),
  };
}

function describeExports(
  resource: Resource,
  table: TableDescription,
  columns: readonly ColumnDescription[],
  catalog: Catalog,
  shape: PublicShape,
): ShownResource['exports'] {
  const isFindable = structuredKeyColumns(resource, table).length === 0;
  const dates = columns
    .filter(({ baseTypeOid }) => DATE_TYPES.has(baseTypeOid))
    .flatMap(({ name }) => shape.nameOf(name) ?? []);
  return {
    formats: [...FILE_FORMATS],
    compressions: [...EXPORT_COMPRESSIONS],
    include_deleted: resource.softDelete !== undefined,
    include_related: relatedOf([resource.name], catalog).filter((name) => name !== resource.name),
    changes_since: isFindable,
    as_of:
      isFindable && columns.length > 0 && parentOf(resource) === undefined && tellsOldRows(resource, table),
    date_range: { default_field: publicRange(resource) ?? null, fields: dates },
  };
}

const KINDS = { set: 'update', delete: 'delete', http: 'handler' } as const;

function describeOperation(
  name: string,
  resource: Resource,
  table: TableDescription,
  describeColumn: (column: ColumnDescription) => ShownField,
): ShownOperation {
  const operation = findOperation(resource, name);
  const kind = operation?.kind ?? 'set';
  const params = (operation === undefined ? [] : paramsOf(resource, operation)).flatMap((param) => {
    const column = table.columns.find((candidate) => candidate.name === param.column);
    if (column === undefined) return [];
    const { type, json_type, format, nullable, values, max_length } = describeColumn(column);
    const described = { type, json_type, format, nullable, values, max_length };
    return [
      { name: param.name, ...(param.named === undefined ? described : describeNamed(param.named, nullable)) },
    ];
  });
  const sets = Object.entries(operation?.kind === 'set' ? operation.set : {}).flatMap(([column, value]) =>
    publishedValues(resource, column, value),
  );
  return { name, kind: KINDS[kind], params, sets, takes_any_params: kind === 'http' };
}

function describeNamed(
  { map }: MappedField,
  nullable: boolean,
): Omit<ShownOperation['params'][number], 'name'> {
  const values = Object.values(map);
  const jsonType =
    typeof values[0] === 'number' ? 'integer' : typeof values[0] === 'boolean' ? 'boolean' : 'string';
  return {
    type: MADE_TYPES[jsonType] ?? jsonType,
    json_type: jsonType,
    format: null,
    nullable,
    values: jsonType === 'string' ? values.map(String) : null,
    max_length: null,
  };
}

/** The published fields after a column is set to the value; none for a hidden column. */
function publishedValues(
  resource: Resource,
  column: string,
  value: CatalogValue,
): { name: string; value: CatalogValue }[] {
  const { fields } = resource;
  if (fields === undefined) return leaves(resource, column) ? [{ name: column, value }] : [];
  return fields.flatMap((field) => {
    if ('value' in field || 'path' in field || field.column !== column) return [];
    if (!('map' in field) || value === null) return [{ name: field.name, value }];
    return [{ name: field.name, value: field.map[String(value)] ?? field.otherwise ?? String(value) }];
  });
}

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
