import { fieldsOf } from '../../../shared/catalog/describe-table.ts';
import {
  leaves,
  ownerColumns,
  parentOf,
  type Resource,
  whereColumns,
} from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { columnsOfFields } from '../../../shared/domain/public-field.ts';
import type { RecordRef } from '../../../shared/domain/record-ref.ts';
import type { Column, RowType } from '../../../shared/domain/row-type.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { accountForm, accountText, accountTextSql } from '../../../shared/values/account-form.ts';
import { filterFamily } from '../../../shared/values/filter-values.ts';
import { referenceOf } from '../../../shared/values/reference-text.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';
import { compileRowFilter, type RowFilter } from './row-filter.ts';

/** How tuples of one version of a resource's table become rows. Places are column indexes of the row type. */
export interface CapturedTable {
  readonly rowType: RowType;
  /** For each column of the row type, its place in the tuple. */
  readonly tuplePlaces: readonly number[];
  readonly keyPlaces: readonly number[];
  /** Places of the columns that determine a row's account. */
  readonly ownerPlaces: readonly number[];
  readonly owner: TableOwner;
  /** For each column of the row type, whether the old version of a row includes it when only the identity is sent. */
  readonly isInIdentity: readonly boolean[];
  /** The identity includes the key, the account and the columns of `where`, so that a delete can be assigned. */
  readonly isIdentitySufficient: boolean;
  /**
   * Places in the tuple whose old values a partition does not send, though its root's identity includes them. A null
   * there may be a value that was not sent, and an update without an old version may have changed it.
   */
  readonly unsentPlaces?: ReadonlySet<number> | undefined;
  /** Which rows are published; undefined for all. */
  readonly filter?: TupleFilter | undefined;
  /**
   * Place in the tuple of the soft-delete column, if no old version includes it. Whether a row was restored is unknown
   * then.
   */
  readonly unknownDeletedPlace?: number;
}

/** A parent may have had another account before the transaction than after it. */
export type RowVersion = 'before' | 'after';

/** How the texts of the owner columns determine a row's account. */
export type TableOwner =
  | {
      readonly kind: 'column';
      /** The account's canonical text for a column's value; undefined when PostgreSQL has to be asked first. */
      readonly accountText: (pgText: string) => string | undefined;
    }
  /** Belongs to all accounts. */
  | { readonly kind: 'shared' }
  | {
      readonly kind: 'parent';
      /** Empty for a row without an account. */
      readonly accountOf: (
        pgTexts: readonly (string | null)[],
        version: RowVersion,
        commitLsn: Lsn,
      ) => string;
    };

/** The accounts of records that other records refer to, as of each commit. */
export interface ParentAccounts {
  /** @returns empty for a record that has no account or does not exist */
  accountOf(record: RecordRef, version: RowVersion, commitLsn: Lsn): string;
  /** Why the accounts of a resource's records are unknown at present; undefined where they are known. */
  whyUnknown(resource: string): string | undefined;
}

/** A resource's `where`, applied to tuples. Its columns need not be published. */
export interface TupleFilter {
  readonly matches: RowFilter;
  readonly columns: ReadonlyMap<string, { readonly tuplePlace: number; readonly isInIdentity: boolean }>;
}

/** Maps PostgreSQL types to topic types. Implemented by `Types` of shared/values. */
export interface ValueTypes {
  /** @throws UnknownTypeError for a type made after the types were loaded */
  valueType(oid: number, typeModifier: number): Column['type'];
}

/**
 * Fits a table, as the stream describes it from here on, to its resource. pgoutput omits generated and dropped columns
 * and keeps the column order, so the row type equals the one that an extractor reads from the database.
 *
 * @throws SetupError when the table has lost a column that the catalog needs
 */
export function captureTable(
  resource: Resource,
  relation: RelationMessage,
  types: ValueTypes,
  spellings?: Pick<AccountSpellings, 'of'>,
  parents?: ParentAccounts,
): CapturedTable {
  const visible = relation.columns
    .map((column, tuplePlace) => ({ column, tuplePlace }))
    .filter(({ column }) => leaves(resource, column.name));
  const placeOf = (name: string): number => {
    const place = visible.findIndex(({ column }) => column.name === name);
    if (place === -1) {
      throw new SetupError(
        `${relation.schema}.${relation.name} has no column ${name} any more, which the catalog names for ` +
          `${resource.name}: adapt the catalog to the table, or the table to the catalog`,
      );
    }
    return place;
  };
  const keyPlaces = resource.key.map(placeOf);
  const ownerPlaces = ownerColumns(resource).map(placeOf);
  columnsOfFields(resource.fields ?? []).forEach(placeOf);
  const isInIdentity = visible.map(({ column }) => column.isInIdentity);
  const columns = visible.map(({ column: { name, typeOid, typeModifier } }) => ({
    name,
    type: types.valueType(typeOid, typeModifier),
    isKey: resource.key.includes(name),
  }));
  const filter = tupleFilter(resource, relation, types);
  const isInIdentityAll = [...keyPlaces, ...ownerPlaces].every((place) => isInIdentity[place] === true);
  const deletedPlace = relation.columns.findIndex(({ name }) => name === resource.softDelete);
  const ownerTypes = ownerPlaces.map((place) => columns[place]?.type.pgName ?? '');
  return {
    rowType: { resource: resource.name, columns, ...fieldsOf(resource) },
    tuplePlaces: visible.map(({ tuplePlace }) => tuplePlace),
    keyPlaces,
    ownerPlaces,
    owner: tableOwner(resource, ownerTypes, spellings, parents),
    isInIdentity,
    isIdentitySufficient:
      isInIdentityAll && [...(filter?.columns.values() ?? [])].every((column) => column.isInIdentity),
    filter,
    ...(deletedPlace < 0 || relation.columns[deletedPlace]?.isInIdentity === true
      ? {}
      : { unknownDeletedPlace: deletedPlace }),
  };
}

function tableOwner(
  resource: Resource,
  types: readonly string[],
  spellings: Pick<AccountSpellings, 'of'> | undefined,
  parents: ParentAccounts | undefined,
): TableOwner {
  const { name, account } = resource;
  const parent = parentOf(resource);
  if (typeof account === 'string') {
    const form = accountForm(types[0] ?? '');
    return { kind: 'column', accountText: (pgText) => accountText(form, pgText) ?? spellings?.of(pgText) };
  }
  if (parent === undefined) return { kind: 'shared' };
  if (parents === undefined) throw new Error(`nothing knows the accounts of the parents of ${name}`);
  return {
    kind: 'parent',
    accountOf(pgTexts, version, commitLsn) {
      const record = referenceOf(parent, pgTexts, types);
      return record === undefined ? '' : parents.accountOf(record, version, commitLsn);
    },
  };
}

function tupleFilter(
  resource: Resource,
  { schema, name: tableName, columns }: RelationMessage,
  types: ValueTypes,
): TupleFilter | undefined {
  if (resource.where === undefined) return undefined;
  const ofTable = (name: string) => {
    const tuplePlace = columns.findIndex((column) => column.name === name);
    const column = columns[tuplePlace];
    if (column === undefined) throw noLonger(`has no column ${name} any more`);
    return { column, tuplePlace };
  };
  const noLonger = (what: string) =>
    new SetupError(
      `${schema}.${tableName} ${what}, which where of ${resource.name} is on: adapt the catalog to the table, ` +
        'or the table to the catalog',
    );
  const familyOf = (name: string) => {
    const { typeOid, typeModifier } = ofTable(name).column;
    const family = filterFamily(types.valueType(typeOid, typeModifier).pgName);
    if (family === undefined) throw noLonger(`has another type for ${name}`);
    return family;
  };
  return {
    columns: new Map(
      whereColumns(resource).map((name) => {
        const { column, tuplePlace } = ofTable(name);
        return [name, { tuplePlace, isInIdentity: column.isInIdentity }];
      }),
    ),
    matches: compileRowFilter(resource.where, familyOf),
  };
}

/** Canonical texts of citext accounts, folded by PostgreSQL. */
export interface AccountSpellings {
  /** The account's canonical text; undefined until it was queried. */
  of(pgText: string): string | undefined;
  learn(pgTexts: readonly string[]): Promise<void>;
}

/**
 * Limit of cached spellings. Products have few accounts; this bounds the memory for a column that holds something else.
 */
const MAX_KEPT = 10_000;

/** Queries each spelling once, because `lower` depends on the database's locale. */
export function createAccountSpellings(source: Queryable): AccountSpellings {
  const kept = new Map<string, string>();
  const text = `select u.place::text, ${accountTextSql('lower_case', 'u.spelling')} as account
    from unnest($1::text[]) with ordinality as u (spelling, place)`;
  return {
    of: (pgText) => kept.get(pgText),
    async learn(pgTexts) {
      const { rows } = await source.query<{ place: string; account: string }>(text, [pgTexts]);
      if (kept.size + rows.length > MAX_KEPT) kept.clear();
      for (const { place, account } of rows) kept.set(pgTexts[Number(place) - 1] ?? '', account);
    },
  };
}
