import { type ChildResource, childrenOf, parentsOf } from '../../../shared/catalog/check-account-paths.ts';
import { type Catalog, ownerColumns, type Resource } from '../../../shared/domain/catalog.ts';
import type { RecordRef } from '../../../shared/domain/record-ref.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { referenceOf } from '../../../shared/values/reference-text.ts';
import type { ValueTypes } from '../changes/captured-table.ts';
import { findDescribed, isStillOf, type OidOf } from '../changes/fit-relation.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { RelationMessage, Tuple } from '../replication/pgoutput.ts';
import { createRouteReader, type RouteReader, saysOwners } from './route-reader.ts';

/** A table of a parent or of a child, as the stream describes it. */
export interface RoutedTable {
  readonly resource: Resource;
  /** Only for a parent. */
  readonly reader: RouteReader | undefined;
  readonly relation: RelationMessage;
  readonly types: ValueTypes;
  /** Why its rows do not show their owner: the table lacks columns that the catalog names. */
  readonly misfit: string | undefined;
  /** Whether old rows show their owner, in each partition by its own replica identity. */
  saysOwners(): boolean;
  /** The records that the versions of a child's row refer to. */
  references(message: RowMessage): References;
}

/** A version is undefined if the message does not have it, or if it refers to nothing. */
export interface References {
  readonly before?: RecordRef | undefined;
  readonly after?: RecordRef | undefined;
}

export interface RoutedTablesDeps {
  readonly catalog: Catalog;
  readonly loadTypes: (oids: readonly number[]) => Promise<ValueTypes>;
  readonly isPartitioned: (relationId: number) => Promise<boolean>;
  readonly oidOf: OidOf;
}

/** Reads references from rows of parents and children, by the tables as the stream describes them. */
export interface RoutedTables {
  /** Takes a table's description. Tables on no path are ignored. */
  learn(relation: RelationMessage): Promise<void>;
  find(relationId: number): RoutedTable | undefined;
}

export function createRoutedTables({
  catalog,
  loadTypes,
  isPartitioned,
  oidOf,
}: RoutedTablesDeps): RoutedTables {
  const parents = parentsOf(catalog);
  const children = new Map(childrenOf(catalog).map((child) => [child.name, child]));
  const tables = new Map<number, RoutedTable>();
  /** Whether the old rows of each partition show their owner, by table. */
  const partitions = new Map<number, Map<number, boolean>>();
  let lastDescribed: RoutedTable | undefined;

  return {
    find(relationId) {
      const table = tables.get(relationId);
      return table !== undefined && isStillOf(table.resource, table.relation, oidOf) ? table : undefined;
    },
    async learn(relation) {
      tables.delete(relation.id);
      const resource = findDescribed(catalog, relation, oidOf);
      // Rows of a partition come as their root's. The stream describes the root right before the partition.
      if (resource === undefined && lastDescribed !== undefined) {
        partitions
          .get(lastDescribed.relation.id)
          ?.set(relation.id, saysOwners(lastDescribed.resource, relation));
      }
      lastDescribed = undefined;
      if (resource === undefined || !(parents.has(resource.name) || children.has(resource.name))) return;
      const types = await loadTypes(relation.columns.map(({ typeOid }) => typeOid));
      if (!partitions.has(relation.id) && (await isPartitioned(relation.id)))
        partitions.set(relation.id, new Map());
      const child = children.get(resource.name);
      const described = {
        resource,
        relation,
        types,
        saysOwners: () =>
          saysOwners(resource, relation) &&
          ![...(partitions.get(relation.id)?.values() ?? [])].includes(false),
        references: child === undefined ? () => ({}) : createReferenceReader(child, relation, types),
      };
      try {
        const reader = parents.has(resource.name) ? createRouteReader(resource, relation, types) : undefined;
        tables.set(relation.id, { ...described, reader, misfit: undefined });
      } catch (error) {
        if (!(error instanceof SetupError)) throw error;
        tables.set(relation.id, { ...described, reader: undefined, misfit: error.message });
      }
      lastDescribed = tables.get(relation.id);
    },
  };
}

function createReferenceReader(
  child: ChildResource,
  { columns }: RelationMessage,
  types: ValueTypes,
): RoutedTable['references'] {
  const places = ownerColumns(child).map((name) => columns.findIndex((column) => column.name === name));
  const names = places.map((at) => {
    const column = columns[at];
    return column === undefined ? '' : types.valueType(column.typeOid, column.typeModifier).pgName;
  });
  const referenceIn = (tuple: Tuple | undefined, other: Tuple | undefined) => {
    if (tuple === undefined) return undefined;
    // A value stored out of line and not sent again did not change.
    const texts = places.map((at) => tuple[at] ?? (tuple[at] === null ? null : (other?.[at] ?? null)));
    return referenceOf(child.account, texts, names);
  };
  return (message) => {
    const old = message.kind === 'insert' ? undefined : message.before?.values;
    return {
      before: referenceIn(old, undefined),
      after: referenceIn(message.kind === 'delete' ? undefined : message.after, old),
    };
  };
}
