import { type FilterNode, filterColumns } from './bulk-filter.ts';

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
  /** Column that says which account a record belongs to. */
  readonly account: string;
  /** Column that `date_range` means unless the request names another. */
  readonly range: string | undefined;
  /** Timestamp column that is not null once a record is soft-deleted. */
  readonly softDelete: string | undefined;
  /** The only columns that leave the source; undefined where all leave but those of `hide`. */
  readonly expose?: readonly string[] | undefined;
  /** Columns that never leave the source; empty beside `expose`. */
  readonly hide: readonly string[];
  /** The only rows that leave the source, by their own columns; undefined for all. A row that no longer fits is told as deleted. */
  readonly where?: FilterNode | undefined;
  /** Whether past moments are offered; undefined where the width of the rows decides, since it costs WAL. */
  readonly asOf?: boolean | undefined;
  /** Resources exported along with this one by `include_related`. */
  readonly related: readonly string[];
  readonly operations: Readonly<Record<string, Operation>>;
  /** Greatest number of items of a synchronous bulk operation. */
  readonly syncLimit: number;
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
export function listedColumns({ expose, hide }: Pick<Resource, 'expose' | 'hide'>): readonly string[] {
  return expose ?? hide;
}

/** The name of the resource that examples are about. */
export function firstResource({ resources: [first] }: Catalog): string {
  return first?.name ?? 'records';
}

export function findResource(catalog: Catalog, name: string): Resource | undefined {
  return catalog.resources.find((resource) => resource.name === name);
}
