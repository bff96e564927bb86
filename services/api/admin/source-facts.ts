import { DatabaseError } from 'pg';
import { ownedSql } from '../../../shared/catalog/account-sql.ts';
import {
  describeTables,
  findTable,
  type TableDescription,
  visibleColumns,
} from '../../../shared/catalog/describe-table.ts';
import { structuredKeyColumns } from '../../../shared/catalog/key-limits.ts';
import { tellsOldRows } from '../../../shared/catalog/replica-identity.ts';
import { whereSql } from '../../../shared/catalog/where-sql.ts';
import { type Catalog, findResource, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import { columnOfName, publicKey, publicNameOf, publicRange } from '../../../shared/domain/public-names.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { invalid } from '../http/validate.ts';
import { readAccountTypes, spellAccount } from './account-spelling.ts';

export interface Estimate {
  readonly rows: number;
  readonly bytes: number;
}

/**
 * The api's queries to the source database. An unavailable source neither fails nor delays a request that can do
 * without it.
 */
export interface SourceFacts {
  /** An estimate from the planner's statistics, without reading rows. Null when the source does not respond. */
  estimate(
    request: ExportRequest,
    resources: readonly string[],
    sourceId: string | null,
  ): Promise<Estimate | null>;
  /**
   * Checks that each resource has this field, of a date or timestamp type.
   *
   * @throws AppError `invalid`; `unavailable` when the source does not respond
   */
  requireRangeColumn(resources: readonly string[], field: string): Promise<void>;
  /**
   * The fields of a file restricted to these fields: they and the key, in order.
   *
   * @throws AppError `invalid` for unknown or hidden fields, or for more than one resource; `unavailable` when the
   * source does not respond
   */
  resolveFields(resources: readonly string[], fields: readonly string[]): Promise<string[]>;
  /**
   * Checks that the WAL holds the old rows of each resource's updates, which as-of exports need. Without a
   * response from the source, the export itself checks.
   *
   * @throws AppError `invalid`
   */
  requireOldRows(resources: readonly string[]): Promise<void>;
  /**
   * Checks that each resource's rows can be found by the keys in events, which changes-since and as-of
   * exports need. Without a response from the source, the export itself checks.
   *
   * @throws AppError `invalid` at the pointer
   */
  requireFindableKeys(resources: readonly string[], pointer: string): Promise<void>;
  /**
   * Runs another query on the source.
   *
   * @throws AppError `unavailable` when the source does not respond
   */
  read<T>(what: string, question: (source: Queryable) => Promise<T>): Promise<T>;
  /**
   * The account's canonical text, as PostgreSQL prints the value in the account columns.
   *
   * @throws AppError `invalid` for a value that does not fit all account columns; `unavailable` when the source does
   * not respond
   */
  accountText(sourceId: string): Promise<string>;
}

/** After a failure the source is not queried for this long, so that requests do not queue behind its timeout. */
const REST_MS = 10_000;

/** If a table is altered within this time, one estimate may be missing. */
const DESCRIBED_MS = 10_000;

/** OIDs of the types that `date_range` is possible on: date, timestamp, timestamptz. */
export const DATE_TYPES: ReadonlySet<number> = new Set([1082, 1114, 1184]);

/** `{"name":` around each value, and a comma. */
const JSON_BYTES_PER_COLUMN = 4;

export function createSourceFacts(
  catalog: Catalog,
  deps: { source: Queryable; log: Log; now: () => number },
): SourceFacts {
  let restUntilMs = 0;
  const ask = async <T>(question: () => Promise<T>): Promise<T | undefined> => {
    if (deps.now() < restUntilMs) return undefined;
    try {
      return await question();
    } catch (error) {
      if (isRefusal(error)) return undefined;
      restUntilMs = deps.now() + REST_MS;
      deps.log.warn('source.not_asked', { restMs: REST_MS, error });
      return undefined;
    }
  };
  const named = (names: readonly string[]) => names.flatMap((name) => findResource(catalog, name) ?? []);
  const describe = (resources: readonly Resource[]) =>
    ask(() =>
      describeTables(
        deps.source,
        resources.map(({ table }) => table),
      ),
    );

  /** By table. An estimate needs only the widths of columns, and describing them takes longer than the rest of the estimate. */
  const described = new Map<
    string,
    { readonly table: TableDescription | undefined; readonly atMs: number }
  >();
  const describeLately = async (resources: readonly Resource[]) => {
    const isOld = ({ table }: Resource) =>
      (described.get(quoteTable(table))?.atMs ?? Number.NEGATIVE_INFINITY) < deps.now() - DESCRIBED_MS;
    const old = resources.filter(isOld);
    const tables = old.length === 0 ? [] : await describe(old);
    if (tables === undefined) return undefined;
    const atMs = deps.now();
    for (const { table } of old) described.set(quoteTable(table), { table: findTable(tables, table), atMs });
    return resources.flatMap(({ table }) => described.get(quoteTable(table))?.table ?? []);
  };

  return {
    async estimate(request, names, sourceId) {
      const resources = named(names);
      const tables = await describeLately(resources);
      if (tables === undefined || resources.some(({ table }) => findTable(tables, table) === undefined))
        return null;
      const parts = await ask(() =>
        Promise.all(resources.map((resource) => explain(deps.source, resource, tables, request, sourceId))),
      );
      if (parts === undefined) {
        // A column may be gone.
        for (const { table } of resources) described.delete(quoteTable(table));
        return null;
      }
      return parts.reduce((sum, part) => ({ rows: sum.rows + part.rows, bytes: sum.bytes + part.bytes }), {
        rows: 0,
        bytes: 0,
      });
    },
    async requireRangeColumn(names, field) {
      const unknown = named(names).filter((resource) => publicRange(resource) !== field);
      if (unknown.length === 0) return;
      const tables = await describe(unknown);
      if (tables === undefined) throw notResponding('date_range.field');
      const without = unknown.filter((resource) => {
        const table = findTable(tables, resource.table);
        const columns = table === undefined ? [] : visibleColumns(table, resource);
        const column = columnOfName(resource, field);
        return !columns.some(({ name, baseTypeOid }) => name === column && DATE_TYPES.has(baseTypeOid));
      });
      if (without.length > 0) {
        const isMember = without.some(({ fields }) =>
          fields?.some((each) => each.name === field && 'path' in each),
        );
        const detail =
          `${without.map(({ name }) => name).join(', ')} has no date or timestamp column "${field}"` +
          (isMember ? ', which is a member of a document' : '');
        throw invalid([{ pointer: '/date_range/field', detail }]);
      }
    },
    async resolveFields(names, fields) {
      const [resource, ...others] = named(names);
      if (resource === undefined || others.length > 0) {
        const detail = `are for one resource, and this export has ${names.join(', ')}: export one of them, without include_related`;
        throw invalid([{ pointer: '/fields', detail }]);
      }
      const tables = await describe([resource]);
      const table = tables && findTable(tables, resource.table);
      if (table === undefined) throw notResponding('fields');
      const columns = resource.fields ?? visibleColumns(table, resource);
      const all = columns.map(({ name }) => name);
      const errors = fields.flatMap((field, index) =>
        all.includes(field)
          ? []
          : [{ pointer: `/fields/${index}`, detail: `${resource.name} has no field "${field}"` }],
      );
      if (errors.length > 0) throw invalid(errors);
      const key = publicKey(resource);
      return all.filter((name) => fields.includes(name) || key.includes(name));
    },
    async requireOldRows(names) {
      const resources = named(names);
      requireOwnAccounts(resources, '/as_of');
      const tables = await describe(resources);
      if (tables === undefined) return;
      const without = resources.filter((resource) => {
        const table = findTable(tables, resource.table);
        return table !== undefined && !tellsOldRows(resource, table);
      });
      if (without.length === 0) return;
      const detail =
        `is not possible for ${without.map(({ name }) => name).join(', ')}, whose old rows are not in the WAL: omit them, or ` +
        'ask the operator to set as_of: true in the catalog and run source prepare';
      throw invalid([{ pointer: '/as_of', detail }]);
    },
    async requireFindableKeys(names, pointer) {
      const resources = named(names);
      const tables = (await describe(resources)) ?? [];
      const faults = resources.flatMap((resource) => {
        const table = findTable(tables, resource.table);
        return table === undefined
          ? []
          : structuredKeyColumns(resource, table).map(
              ({ name, typeName }) =>
                `${resource.name}, whose key field ${publicNameOf(resource, name)} is ${typeName}`,
            );
      });
      if (faults.length === 0) return;
      const detail = `is not possible for ${faults.join('; ')}: export its present state instead, or omit it`;
      throw invalid([{ pointer, detail }]);
    },
    async read(what, question) {
      // A marker of its own, because `undefined` means that the source did not respond.
      const answer = await ask(async () => ({ value: await question(deps.source) }));
      if (answer === undefined) throw notResponding(what, 'read');
      return answer.value;
    },
    async accountText(sourceId) {
      const spelling = await ask(async () =>
        spellAccount(deps.source, await readAccountTypes(deps.source, catalog), sourceId),
      );
      if (spelling === undefined) throw notResponding('source_id');
      if (spelling.kind === 'text') return spelling.text;
      throw invalid([{ pointer: '/source_id', detail: spelling.detail }]);
    },
  };
}

/** The history of a parent's table is not recorded for its children. */
function requireOwnAccounts(resources: readonly Resource[], pointer: string): void {
  const children = resources.filter((resource) => parentOf(resource) !== undefined);
  if (children.length === 0) return;
  const detail =
    `is not possible for ${children.map(({ name }) => name).join(', ')}, whose records have the account of another resource: ` +
    'export their present state instead, or omit them';
  throw invalid([{ pointer, detail }]);
}

function notResponding(what: string, verb: 'checked' | 'read' = 'checked'): AppError {
  return new AppError('unavailable', `The source database does not respond, so ${what} cannot be ${verb}.`, {
    retryAfterSeconds: REST_MS / 1_000,
  });
}

/**
 * Whether the source works and only refused this query: data exceptions (an account ID that its column can't hold) and
 * access rule violations. After such a refusal, other accounts' requests still use the source.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof DatabaseError && /^(22|42)/.test(error.code ?? '');
}

interface ExplainedPlan {
  'QUERY PLAN': [{ Plan: { 'Plan Rows': number; 'Plan Width': number } }];
}

async function explain(
  source: Queryable,
  resource: Resource,
  tables: readonly TableDescription[],
  request: ExportRequest,
  sourceId: string | null,
): Promise<Estimate> {
  const table = findTable(tables, resource.table);
  if (table === undefined) return { rows: 0, bytes: 0 };
  const columns = visibleColumns(table, resource).map(({ name }) => name);
  const { where, values } = conditionsOf(resource, request, sourceId);
  const { rows } = await source.query<ExplainedPlan>(
    `explain (format json) select ${columns.map(ofTable).join(', ')} from ${quoteTable(resource.table)} t${where}`,
    values,
  );
  const plan = rows[0]?.['QUERY PLAN'][0].Plan;
  if (plan === undefined) return { rows: 0, bytes: 0 };
  const names = columns.reduce((sum, name) => sum + Buffer.byteLength(name) + JSON_BYTES_PER_COLUMN, 0);
  return { rows: plan['Plan Rows'], bytes: plan['Plan Rows'] * (plan['Plan Width'] + names) };
}

const ofTable = (column: string) => `t.${quoteIdent(column)}`;

function conditionsOf(
  resource: Resource,
  { include_deleted, date_range, resources }: ExportRequest,
  sourceId: string | null,
): { where: string; values: string[] } {
  const { softDelete, range, name } = resource;
  const values: string[] = [];
  const conditions = whereSql(resource, ofTable, (value) => `$${values.push(value)}`);
  const compare = (column: string, operator: string, value: string, cast = '') => {
    values.push(value);
    conditions.push(`${column} ${operator} $${values.length}${cast}`);
  };
  if (sourceId !== null) {
    const isOfAccount = (accountColumn: string) => `${accountColumn} = $${values.push(sourceId)}`;
    conditions.push(ownedSql(resource, ofTable, isOfAccount));
  }
  if (!include_deleted && softDelete !== undefined) conditions.push(`${ofTable(softDelete)} is null`);
  const field = date_range?.field == null ? range : columnOfName(resource, date_range.field);
  if (date_range !== null && field !== undefined && resources.includes(name)) {
    compare(ofTable(field), '>=', date_range.from, '::timestamptz');
    compare(ofTable(field), '<', date_range.to, '::timestamptz');
  }
  return { where: conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`, values };
}
