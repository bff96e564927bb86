import { createHash } from 'node:crypto';
import { CatalogBehindError } from '../../../shared/catalog/catalog-behind-error.ts';
import {
  readTableFacts,
  readTypeVersions,
  type TableFacts,
  type TypeVersion,
} from '../../../shared/catalog/table-facts.ts';
import {
  classifyFormChange,
  hasFieldColumns,
  hasSameColumns,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import type { Resource, TableName } from '../../../shared/domain/catalog.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** By resource. */
export type FactsByResource = ReadonlyMap<string, TableFacts>;
export type FormsByResource = Readonly<Record<string, TableForm>>;

/**
 * Reads the forms of an export's tables under its snapshot.
 *
 * @throws ExportFailedError when a table has rows whose changes the feed never gets. The export would be exact, and
 * then continued by silence.
 */
export async function readRunFacts(
  session: SourceSession,
  resources: readonly Resource[],
  publicationName: string,
): Promise<FactsByResource> {
  const facts = await readTableFacts(session.client, resources, publicationName);
  for (const { name } of resources) {
    const found = facts.get(name);
    if (found?.isPublished === false) {
      throw new ExportFailedError(
        'table_unfit',
        `The feed does not get all changes of ${name}, because its table is not in the publication as a whole: export ` +
          'the other resources, and ask the operator to run `tandem source prepare`.',
      );
    }
    if ((found?.childCount ?? 0) === 0) continue;
    throw new ExportFailedError(
      'table_changed',
      `Other tables inherit from the table of ${name}, and the feed does not have their rows: the operator must run \`tandem catalog check\`.`,
    );
  }
  return facts;
}

/** @throws CatalogBehindError when a table lacks a column that the catalog's fields need */
export function assertColumnsThere(resources: readonly Resource[], facts: FactsByResource): void {
  for (const resource of resources) {
    const found = facts.get(resource.name);
    if (found !== undefined && !hasFieldColumns(resource, found)) throw new CatalogBehindError(resource.name);
  }
}

/** The forms as stored with an export, with every file. */
export function formsOf(resources: readonly Resource[], facts: FactsByResource): FormsByResource {
  return Object.fromEntries(
    resources.flatMap((resource) => {
      const found = facts.get(resource.name);
      return found === undefined ? [] : [[resource.name, formOf(resource, found)]];
    }),
  );
}

export const formOf = (resource: Resource, facts: TableFacts): TableForm =>
  toTableForm(resource, facts, Number.POSITIVE_INFINITY);

/**
 * A text that identifies the tables' columns under the session's snapshot: equal texts from one server mean equal
 * columns. Much cheaper than a description.
 */
export async function readColumnsVersion(
  session: SourceSession,
  tables: readonly TableName[],
): Promise<string> {
  const { rows } = await session.query(
    `select md5(string_agg(format('%s %s %s', attrelid::oid, attnum, xmin), ',' order by attrelid, attnum)) as version
     from pg_attribute where attrelid = any ($1::regclass[]) and attnum > 0`,
    [tables.map(quoteTable)],
    'read_columns_version',
  );
  return String(rows[0]?.version);
}

/** A text that identifies the columns and types of an export's tables: equal texts mean equal columns of equal types. */
export function describeForm(facts: FactsByResource): string {
  const described = [...facts].map(
    ([resource, { oid, columns, typeVersions }]) => [resource, oid, columns, typeVersions] as const,
  );
  return createHash('sha256').update(JSON.stringify(described)).digest('base64');
}

/** Reads stored forms. */
export function readForms(kept: unknown): FormsByResource {
  if (typeof kept !== 'object' || kept === null) return {};
  return Object.fromEntries(
    Object.entries(kept).flatMap(([name, form]) => {
      const parsed = parseTableForm(JSON.stringify(form));
      return parsed === undefined ? [] : [[name, parsed]];
    }),
  );
}

/** @returns whether rows differ only by changes in the WAL. Columns are compared by name and type */
export async function isSameTable(
  session: SourceSession,
  before: TableForm,
  resource: Resource,
  facts: TableFacts | undefined,
): Promise<boolean> {
  if (facts === undefined || !hasSameColumns(before, resource, facts)) return false;
  return (await classifyFormChange(session.client, before, resource, facts)).kind !== 'reset';
}

/**
 * Checks labels of enums and attributes of composite types. PostgreSQL prints their current names under any snapshot, and no
 * lock protects them. Nobody alters PostgreSQL's own types, and of which types the columns are, the tables' locks protect.
 *
 * @param known the facts under the snapshot, whose locks are still held
 * @throws ExportFailedError when they have changed since the snapshot
 */
export async function assertSameTypes(
  session: SourceSession,
  resources: readonly Resource[],
  publicationName: string,
  known: FactsByResource,
): Promise<void> {
  const versions = new Map(
    [...known.values()].flatMap(({ typeVersions }) => typeVersions.map(({ oid, version }) => [oid, version])),
  );
  if (versions.size === 0) return;
  const present = await readTypeVersions(session.client, [...versions.keys()]);
  const isSame = ({ oid, version }: TypeVersion) => versions.get(oid) === version;
  if (present.length === versions.size && present.every(isSame)) return;
  const forms = formsOf(resources, known);
  const facts = await readTableFacts(session.client, resources, publicationName);
  for (const resource of resources) {
    const [before, now] = [forms[resource.name], facts.get(resource.name)];
    if (before === undefined || now === undefined) continue;
    const change = await classifyFormChange(session.client, before, resource, now);
    if (change.kind !== 'reset' || change.reason !== 'type_changed') continue;
    throw new ExportFailedError(
      'table_changed',
      `A type of ${resource.name} was altered during the export: start the export again.`,
    );
  }
}
