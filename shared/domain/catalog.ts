import { type FilterNode, filterColumns } from './bulk-filter.ts';
import { columnsOfFields, type PublicField } from './public-field.ts';

/** The catalog as the operator wrote it, validated: which tables are resources and what may be done with them. */
export interface Catalog {
  readonly name: string;
  readonly resources: readonly Resource[];
}

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

export interface Resource {
  /** Plural name in the API and in topics, for example `invoices`. */
  readonly name: string;
  readonly table: TableName;
  /** Singular name that event types start with, for example `invoice`. */
  readonly event: string;
  /** Columns of a primary or unique not-null key, in key order. */
  readonly key: readonly string[];
  /** The column that says whose a record is, or the parent whose account it has; or everybody has them all. */
  readonly account: string | ParentAccount | SharedAccount;
  /** Column that `date_range` means unless the request names another. */
  readonly range: string | undefined;
  /** Timestamp column that is not null once a record is soft-deleted. */
  readonly softDelete: string | undefined;
  /** The only columns that leave the source; undefined where all leave but those of `hide`. */
  readonly expose?: readonly string[] | undefined;
  /** Columns that never leave the source; empty beside `expose`. */
  readonly hide: readonly string[];
  /** What customers see, in this order; undefined where they see the columns that leave. Topics have the columns all the same. */
  readonly fields?: readonly PublicField[] | undefined;
  /** The only rows that leave the source, by their own columns; undefined for all. A row that no longer fits is reported as deleted. */
  readonly where?: FilterNode | undefined;
  /** Whether past moments are offered; undefined where the width of the rows decides, since it costs WAL. */
  readonly asOf?: boolean | undefined;
  /** Resources exported along with this one by `include_related`. */
  readonly related: readonly string[];
  readonly operations: Readonly<Record<string, Operation>>;
  /** Greatest number of items of a synchronous bulk operation. */
  readonly syncLimit: number;
}

/** Reference data: in every account's exports and feed, and changed by no bulk operation. */
export interface SharedAccount {
  readonly isShared: true;
}

export const SHARED: SharedAccount = { isShared: true };

/** A record has the account of the record that it refers to, and none while one of these columns is null. */
export interface ParentAccount {
  /** They refer to the parent's key, each to the key's column at its place. */
  readonly columns: readonly string[];
  /** The column whose text says which of the parents it is; undefined where there is one only. */
  readonly typeColumn?: string | undefined;
  /** A record of another type is nobody's. */
  readonly parents: readonly TypedParent[];
}

export interface TypedParent {
  /** As the type column prints it; undefined without one. */
  readonly type?: string | undefined;
  readonly resource: Resource;
}

export function isShared({ account }: Pick<Resource, 'account'>): boolean {
  return typeof account !== 'string' && 'isShared' in account;
}

/** The parents whose account the records have; undefined for a resource with an account column, and for a shared one. */
export function parentOf({ account }: Pick<Resource, 'account'>): ParentAccount | undefined {
  return typeof account === 'string' || 'isShared' in account ? undefined : account;
}

/** The record's own columns that decide whose it is; none where everybody has it. */
export function ownerColumns(resource: Pick<Resource, 'account'>): readonly string[] {
  const { account } = resource;
  if (typeof account === 'string') return [account];
  const { typeColumn, columns } = parentOf(resource) ?? { columns: [] };
  return typeColumn === undefined ? columns : [typeColumn, ...columns];
}

/** The resources on the ways to those with an account column, the nearest of each way first; none for such a one itself. */
export function ancestorsOf(resource: Pick<Resource, 'account'>): readonly Resource[] {
  const parents = parentOf(resource)?.parents ?? [];
  return parents.flatMap(({ resource: parent }) => [parent, ...ancestorsOf(parent)]);
}

/** The account columns at the ends of a resource's paths; none for a shared resource. */
export function accountColumnsOf(
  resource: Resource,
): readonly { readonly resource: Resource; readonly column: string }[] {
  const { account } = resource;
  if (typeof account === 'string') return [{ resource, column: account }];
  return (parentOf(resource)?.parents ?? []).flatMap(({ resource: parent }) => accountColumnsOf(parent));
}

/** The resources with all that say whose their records are, each once. */
export function withAncestors(resources: readonly Resource[]): readonly Resource[] {
  const all = resources.flatMap((resource) => [resource, ...ancestorsOf(resource)]);
  return [...new Map(all.map((each) => [each.name, each])).values()];
}

/** The tables that a read of the resources' rows by their account reads, each once. */
export function tablesReadFor(resources: readonly Resource[]): readonly TableName[] {
  return withAncestors(resources).map(({ table }) => table);
}

/** One bulk operation as declared; its meaning is the bulk service's. */
export type Operation = Readonly<Record<string, unknown>>;

/**
 * Whether a column leaves the source: the one rule for files, topics, events, filters and results. A column that is new, or goes
 * by another name, leaves under `hide` and stays under `expose`.
 */
export function leaves({ expose, hide }: Pick<Resource, 'expose' | 'hide'>, column: string): boolean {
  return expose === undefined ? !hide.includes(column) : expose.includes(column);
}

/** The columns that `where` is on, each once. */
export function whereColumns({ where }: Pick<Resource, 'where'>): readonly string[] {
  return where === undefined ? [] : filterColumns(where);
}

/** The columns that the catalog says this of by name. One that is gone may be there under another name. */
export function listedColumns({
  expose,
  hide,
  fields,
}: Pick<Resource, 'expose' | 'hide' | 'fields'>): readonly string[] {
  return [...new Set([...(expose ?? hide), ...columnsOfFields(fields ?? [])])];
}

/** The name of the resource that examples are about. */
export function firstResource({ resources: [first] }: Catalog): string {
  return first?.name ?? 'records';
}

export function findResource(catalog: Catalog, name: string): Resource | undefined {
  return catalog.resources.find((resource) => resource.name === name);
}
