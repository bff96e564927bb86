import { accountValueSql } from '../../../shared/catalog/account-sql.ts';
import {
  describeTables,
  findTable,
  rowTypeOf,
  type TableDescription,
} from '../../../shared/catalog/describe-table.ts';
import {
  accountColumnsOf,
  listedColumns,
  type Resource,
  tablesReadFor,
} from '../../../shared/domain/catalog.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import {
  isIncompatibleSchema,
  type RegisteredSchema,
  type Registry,
} from '../../../shared/kafka/registry.ts';
import { rowsSubject } from '../../../shared/protocol/names.ts';
import { type AccountForm, accountForm, accountTextSql } from '../../../shared/values/account-form.ts';
import { loadTypes, type Types } from '../../../shared/values/database-types.ts';
import { createRecordKey, type RecordKey } from '../../../shared/values/record-key.ts';
import { createRowCodec, type RowCodec } from '../../../shared/values/row-codec.ts';
import { rowRecordNames } from '../../../shared/values/row-schema.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';
import { columnOf, SELECTED } from './row-selection.ts';

/** How one resource's rows are encoded in one run of an export. */
export interface ResourceRows {
  readonly columns: readonly string[];
  readonly rowType: RowType;
  readonly codec: RowCodec;
  readonly recordKey: RecordKey;
  /** For each key column the cast that a text parameter needs, such as `::public.point`; empty if none. */
  readonly keyCasts: readonly string[];
  /** SQL of the account's canonical text, the same that changes of the row carry. */
  readonly accountSql: string;
  /** Another one once the registry had lost the schema: a chunk has one. */
  readonly schemaId: number;
}

export interface ResourceRowsSource {
  /**
   * Notes the form of a run's tables under its snapshot, as given by `describeForm`. A full description costs the
   * server more than the rows of a small export, so it is shared by runs with the same form.
   */
  noteForm(run: string, form: string): void;
  /**
   * The session must be under the run's snapshot, so the columns are those of the snapshot.
   *
   * @param run names a snapshot, or snapshots under which the tables have the same columns
   * @param family all resources of the run, described together
   * @throws ExportFailedError when the table lacks a hidden column, because it would be exported under its new name, or an
   *   exposed column
   */
  of(
    run: string,
    resource: Resource,
    session: SourceSession,
    family?: readonly Resource[],
  ): Promise<ResourceRows>;
  /** The same for several resources, by name. Their schemas are registered concurrently. */
  ofAll(
    run: string,
    resources: readonly Resource[],
    session: SourceSession,
    family: readonly Resource[],
  ): Promise<ReadonlyMap<string, ResourceRows>>;
}

/** The chunks of a run follow each other closely, and few runs are active at once. */
const MAX_RUNS = 16;
/** Limit of cached forms: more than the runs that are planned or read here at once. */
const MAX_FORMS = 500;

/** The part of the source's catalog that one run needs. Read once, because the whole run is under one snapshot. */
interface RunTables {
  readonly tables: readonly TableDescription[];
  readonly types: Types;
  readonly rows: Map<string, Promise<ResourceRows>>;
}

/** Describes a run's tables together, and registers the schema of each on first use. */
export function createResourceRows(
  registry: Registry,
  namespace: string,
  topicOf: (resource: string) => string,
): ResourceRowsSource {
  /** By the form of the tables, or by the run if the form is unknown. */
  const runs = new Map<string, RunTables>();
  const forms = new Map<string, string>();

  async function describe(session: SourceSession, family: readonly Resource[]): Promise<RunTables> {
    const tables = await describeTables(session.client, tablesReadFor(family));
    return { tables, types: await loadTypes(session.client), rows: new Map() };
  }

  async function toRows(resource: Resource, { tables, types }: RunTables): Promise<ResourceRows> {
    const table = findTable(tables, resource.table);
    const columns = table?.columns.filter(({ isGenerated }) => !isGenerated) ?? [];
    if (!listedColumns(resource).every((listed) => columns.some(({ name }) => name === listed))) {
      const does =
        resource.fields !== undefined ? 'names' : resource.expose === undefined ? 'hides' : 'exposes';
      throw new ExportFailedError(
        'table_changed',
        `The table of ${resource.name} no longer has a column that the catalog ${does}: the operator must adapt the catalog.`,
      );
    }
    const rowType = rowTypeOf(table, resource, types);
    const codec = createRowCodec(rowType, rowRecordNames(namespace, resource.name));
    const registered = await registerRows(registry, rowsSubject(topicOf(resource.name)), codec);
    return {
      columns: rowType.columns.map(({ name }) => name),
      rowType,
      codec,
      recordKey: createRecordKey(rowType, resource.key),
      accountSql: accountTextSql(
        accountFormOf(resource, tables, types),
        accountValueSql(resource, (name) => columnOf(SELECTED, name)),
      ),
      keyCasts: resource.key.map((name) => {
        const isStructured = rowType.columns.find((column) => column.name === name)?.type.kind === 'json';
        return isStructured ? `::${columns.find((column) => column.name === name)?.typeName}` : '';
      }),
      get schemaId() {
        return registered.id;
      },
    };
  }

  async function runOf(
    run: string,
    resource: Resource,
    session: SourceSession,
    family: readonly Resource[],
  ): Promise<RunTables> {
    const place = forms.get(run) ?? run;
    const known = runs.get(place);
    if (known !== undefined && findTable(known.tables, resource.table) !== undefined) return known;
    const described = await describe(session, family);
    const oldest = runs.keys().next().value;
    if (runs.size >= MAX_RUNS && oldest !== undefined) runs.delete(oldest);
    runs.set(place, described);
    return described;
  }

  function rowsOf(resource: Resource, ofRun: RunTables): Promise<ResourceRows> {
    const known = ofRun.rows.get(resource.name);
    if (known !== undefined) return known;
    const rows = toRows(resource, ofRun);
    ofRun.rows.set(resource.name, rows);
    rows.catch(() => ofRun.rows.delete(resource.name));
    return rows;
  }

  return {
    noteForm(run, form) {
      const oldest = forms.keys().next().value;
      if (forms.size >= MAX_FORMS && oldest !== undefined) forms.delete(oldest);
      forms.set(run, form);
    },
    async of(run, resource, session, family = [resource]) {
      return rowsOf(resource, await runOf(run, resource, session, family));
    },
    async ofAll(run, resources, session, family) {
      const runsOf: RunTables[] = [];
      for (const resource of resources) runsOf.push(await runOf(run, resource, session, family));
      const all = await Promise.all(
        resources.map(async (resource, index) => {
          const ofRun = runsOf[index] as RunTables;
          return [resource.name, await rowsOf(resource, ofRun)] as const;
        }),
      );
      return new Map(all);
    },
  };
}

/**
 * Registers the schema of a resource's rows. For a resource with fields the schema need not be compatible with the
 * earlier version, such as after a key column was renamed: customers see the fields, and readers of the topic decode
 * each message by its schema ID.
 */
async function registerRows(
  registry: Registry,
  subject: string,
  { schema }: Pick<RowCodec, 'schema'>,
): Promise<RegisteredSchema> {
  try {
    await registry.register(subject, schema);
  } catch (error) {
    if (!isIncompatibleSchema(error) || schema.public_fields === undefined) throw error;
    await registry.registerIncompatible(subject, schema);
  }
  return registry.registered(subject, schema);
}

/** The account column may be hidden, so the row type may lack it. */
function accountFormOf(resource: Resource, tables: readonly TableDescription[], types: Types): AccountForm {
  // All account columns have one type.
  const [account] = accountColumnsOf(resource);
  const table = account && findTable(tables, account.resource.table);
  const column = table?.columns.find(({ name }) => name === account?.column);
  return column === undefined
    ? 'as_printed'
    : accountForm(types.valueType(column.typeOid, column.typeModifier).pgName);
}
