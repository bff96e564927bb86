import { readTableFacts, type TableFacts } from '../../../shared/catalog/table-facts.ts';
import {
  classifyFormChange,
  hasSameColumns,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** By resource. */
export type FactsByResource = ReadonlyMap<string, TableFacts>;
export type FormsByResource = Readonly<Record<string, TableForm>>;

/**
 * What the tables of an export are like under its snapshot.
 *
 * @throws ExportFailedError when rows would be read that no change ever tells of
 */
export async function readRunFacts(
  session: SourceSession,
  resources: readonly Resource[],
  publicationName: string,
): Promise<FactsByResource> {
  const facts = await readTableFacts(session.client, resources, publicationName);
  for (const { name } of resources) {
    if ((facts.get(name)?.childCount ?? 0) === 0) continue;
    throw new ExportFailedError(
      'table_changed',
      `Other tables inherit from the table of ${name}, and the feed does not have their rows: the operator must run \`tandem catalog check\`.`,
    );
  }
  return facts;
}

/** To be kept with an export. There is room for every file. */
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

/** Forms as they were kept. */
export function readForms(kept: unknown): FormsByResource {
  if (typeof kept !== 'object' || kept === null) return {};
  return Object.fromEntries(
    Object.entries(kept).flatMap(([name, form]) => {
      const parsed = parseTableForm(JSON.stringify(form));
      return parsed === undefined ? [] : [[name, parsed]];
    }),
  );
}

/** @returns whether rows are the same but for what changes in the WAL tell; columns are so by name and type */
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
 * Labels of an enum and attributes of a composite type are printed as they are at the moment of reading, whatever the snapshot,
 * and no lock keeps them.
 *
 * @throws ExportFailedError when they have changed since the snapshot
 */
export async function assertSameTypes(
  session: SourceSession,
  resources: readonly Resource[],
  publicationName: string,
  forms: FormsByResource,
): Promise<void> {
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
