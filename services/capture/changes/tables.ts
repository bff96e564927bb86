import { type ColumnDescription, describeRowType } from '../../../shared/catalog/describe-table.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import type { Change } from '../../../shared/domain/change.ts';
import type { RowTexts, RowType } from '../../../shared/domain/row-type.ts';
import type { AvroSchemaJson, RegisteredSchema } from '../../../shared/kafka/registry.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Subjects } from '../../../shared/protocol/names.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createChangeCodec } from '../../../shared/values/change-codec.ts';
import { loadTypes, type Types, UnknownTypeError } from '../../../shared/values/database-types.ts';
import { createRecordKey } from '../../../shared/values/record-key.ts';
import { PathBrokenError } from '../aside/misfits.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';
import {
  type AccountSpellings,
  type CapturedTable,
  captureTable,
  type ParentAccounts,
  type ValueTypes,
} from './captured-table.ts';
import {
  findDescribed,
  fitRelation,
  hasColumnsOf,
  isStillOf,
  type KnownColumns,
  type OidOf,
} from './fit-relation.ts';

/** A captured table with an encoder for its changes. */
export interface EncodableTable extends CapturedTable {
  /** @throws UnencodableRowError when a value's text is not of its type */
  encode(change: Change): Buffer;
  /** The key as the text of a JSON array. */
  recordKey(row: RowTexts): string;
}

export interface Tables {
  /**
   * Takes a table's description, which the stream sends before the table's first row and after each change of its
   * columns. Tables that are not in the catalog are ignored.
   *
   * @throws SetupError when a column is missing that the catalog needs, when a hidden or exposed column may have
   * another name now, or when the accounts of the records can't be found by their parents. Then `find` has no table,
   * and only `resourceOf` knows it
   */
  learn(relation: RelationMessage): Promise<void>;
  find(relationId: number): EncodableTable | undefined;
  /** The resource of a described table, whether the table fits or not. */
  resourceOf(relationId: number): string | undefined;
}

export interface TablesDeps {
  readonly catalog: Catalog;
  readonly loadTypes: (oids: readonly number[]) => Promise<Types>;
  /** The table's present columns, in column order, without generated ones. */
  readonly loadColumns: (resource: Resource) => Promise<readonly ColumnDescription[]>;
  readonly isPartitioned: (relationId: number) => Promise<boolean>;
  readonly oidOf: OidOf;
  /** Grows for the whole life of the process. */
  readonly knownColumns: KnownColumns;
  readonly spellings: Pick<AccountSpellings, 'of'>;
  /** For resources that have their parents' accounts. */
  readonly parents?: ParentAccounts | undefined;
  /**
   * Registers the schema of a resource's changes. The schema need not be compatible with earlier
   * ones.
   */
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<RegisteredSchema>;
  readonly subjects: Subjects;
  readonly log: Log;
}

export function createTables(deps: TablesDeps): Tables {
  const { catalog, loadTypes, register, subjects, log } = deps;
  const tables = new Map<number, EncodableTable>();
  const resources = new Map<number, { readonly resource: Resource; readonly described: RelationMessage }>();
  /** Columns of its root's identity that each partition's identity lacks, by root. */
  const lacking = new Map<number, Map<number, ReadonlySet<string>>>();
  let lastRoot: RelationMessage | undefined;

  const unsentOf = ({ id, columns }: RelationMessage): ReadonlySet<number> | undefined => {
    const names = new Set([...(lacking.get(id)?.values() ?? [])].flatMap((each) => [...each]));
    if (names.size === 0) return undefined;
    return new Set(columns.flatMap(({ name }, place) => (names.has(name) ? [place] : [])));
  };

  /**
   * Rows of a partition come as their root's. The stream describes the root, and right after it the partition. A
   * partition has an identity of its own, and PostgreSQL gives a new one less than its root has.
   */
  const learnPartition = async (root: RelationMessage, partition: RelationMessage) => {
    const sent = partition.columns.flatMap(({ name, isInIdentity }) => (isInIdentity ? [name] : []));
    const lacked = root.columns.flatMap(({ name, isInIdentity }) =>
      isInIdentity && !sent.includes(name) ? [name] : [],
    );
    const known = lacking.get(root.id);
    if (known === undefined && (lacked.length === 0 || !(await deps.isPartitioned(root.id)))) return;
    lacking.set(root.id, new Map(known).set(partition.id, new Set(lacked)));
    const table = tables.get(root.id);
    if (table !== undefined) tables.set(root.id, { ...table, unsentPlaces: unsentOf(root) });
  };

  const resourceOf = (relationId: number): string | undefined => {
    const known = resources.get(relationId);
    if (known === undefined || !isStillOf(known.resource, known.described, deps.oidOf)) return undefined;
    return known.resource.name;
  };

  return {
    find: (relationId) => (resourceOf(relationId) === undefined ? undefined : tables.get(relationId)),
    resourceOf,
    async learn(described) {
      const root = lastRoot;
      lastRoot = undefined;
      const resource = findDescribed(catalog, described, deps.oidOf);
      // The earlier description does not apply to rows from here on.
      tables.delete(described.id);
      resources.delete(described.id);
      if (resource === undefined) {
        if (root !== undefined) await learnPartition(root, described);
        return;
      }
      lastRoot = described;
      resources.set(described.id, { resource, described });
      const unknown = deps.parents?.whyUnknown(resource.name);
      if (unknown !== undefined) throw new PathBrokenError(unknown);
      const current = hasColumnsOf(resource, described) ? [] : await deps.loadColumns(resource);
      const known = deps.knownColumns.get(resource.name) ?? new Set();
      deps.knownColumns.set(resource.name, known);
      const relation = fitRelation(resource, described, current, known);
      // Descriptions are rare, and the types may have changed as well, so they are always read again. A type that was
      // dropped since stays unknown, and its texts are passed unchanged.
      const types = await loadTypes(relation.columns.map(({ typeOid }) => typeOid));
      const valueType: ValueTypes['valueType'] = (oid, typeModifier) => {
        try {
          return types.valueType(oid, typeModifier);
        } catch (error) {
          if (!(error instanceof UnknownTypeError)) throw error;
          log.warn('type.dropped', { resource: resource.name, typeOid: oid });
          return { kind: 'string', pgName: `dropped.${oid}` };
        }
      };
      const table = captureTable(resource, relation, { valueType }, deps.spellings, deps.parents);
      const codec = createChangeCodec(table.rowType, { namespace: `tandem.${catalog.name}` });
      const { schema } = codec;
      const subject = subjects.ofRecord(schema);
      const registered = await register(subject, schema);
      if (!table.isIdentitySufficient) {
        log.error('replica_identity.insufficient', {
          resource: resource.name,
          remedy: 'run `tandem source prepare`; until then each delete resets the feed of the resource',
        });
      }
      for (const { name } of relation.columns) known.add(name);
      tables.set(relation.id, {
        ...table,
        unsentPlaces: unsentOf(described),
        encode: (change) => codec.encode(change, registered.id),
        recordKey: createRecordKey(table.rowType, resource.key).ofPgTexts,
      });
      log.info('table.learned', {
        resource: resource.name,
        columnCount: table.rowType.columns.length,
        schemaId: registered.id,
      });
    },
  };
}

/** The part of a table that a reset of its resource needs. */
export type ResetTable = Pick<EncodableTable, 'encode' | 'recordKey'>;

export interface ResetTableDeps {
  readonly source: Queryable;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<RegisteredSchema>;
  readonly subjects: Subjects;
  /** The catalog's name, part of the namespace of its schemas. */
  readonly catalogName: string;
}

/**
 * Describes the table as it is in the source now, because the stream may not have described it.
 *
 * @param only the columns that may be included, when others might be hidden ones
 * @throws SetupError when the table does not exist
 */
export async function describeForReset(
  resource: Resource,
  { source, register, subjects, catalogName }: ResetTableDeps,
  only?: ReadonlySet<string>,
): Promise<ResetTable> {
  // Some columns of the fields may be missing among the included ones.
  const described = await describeRowType(
    source,
    { ...resource, fields: undefined },
    await loadTypes(source),
  );
  const columns = described.columns.filter(({ name }) => only === undefined || only.has(name));
  return resetTableOf({ ...described, columns }, { register, subjects, catalogName });
}

/** For a resource whose table is gone, or has no column that may be included. */
export function describeWithoutColumns(
  resource: Resource,
  deps: Omit<ResetTableDeps, 'source'>,
): Promise<ResetTable> {
  return resetTableOf({ resource: resource.name, columns: [] }, deps);
}

async function resetTableOf(
  rowType: RowType,
  { register, subjects, catalogName }: Omit<ResetTableDeps, 'source'>,
): Promise<ResetTable> {
  const codec = createChangeCodec(rowType, { namespace: `tandem.${catalogName}` });
  const subject = subjects.ofRecord(codec.schema);
  const registered = await register(subject, codec.schema);
  return { encode: (change) => codec.encode(change, registered.id), recordKey: () => '[]' };
}
