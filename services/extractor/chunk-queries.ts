import type { Resource } from '../../shared/domain/catalog.ts';
import { quoteIdent, quoteTable } from '../../shared/postgres/quote.ts';
import type { ExportRequest } from './export-request.ts';

export interface SqlQuery {
  readonly text: string;
  readonly values: readonly string[];
}

/** Which rows of a resource an export holds. `accountSourceId` null: those of all accounts. */
export interface RowSelection {
  readonly resource: Resource;
  readonly request: ExportRequest;
  readonly accountSourceId: string | null;
}

/** A slice of the key order: `lowerKey` exclusive, `upperKey` inclusive, null for open. */
export interface KeyBounds {
  readonly lowerKey: readonly string[] | null;
  readonly upperKey: readonly string[] | null;
}

/** The keys of all selected rows in key order: what is counted and cut into chunks. */
export function keysQuery(selection: RowSelection): SqlQuery {
  const { table, key } = selection.resource;
  const { conditions, values } = selectionConditions(selection);
  return {
    text: `select ${key.map(quoteIdent).join(', ')} from ${quoteTable(table)}${where(conditions)}${orderBy(key)}`,
    values,
  };
}

/** The rows of one chunk in key order, with the columns in the given order. */
export function rowsQuery(selection: RowSelection, columns: readonly string[], bounds: KeyBounds): SqlQuery {
  const { table, key } = selection.resource;
  const { conditions, values } = selectionConditions(selection);
  const compare = (operator: '>' | '<=', bound: readonly string[]) => {
    // Parameters take the key columns' own types and collations, so that the bounds mean what the cursor's order meant.
    const parameters = bound.map((text) => `$${values.push(text)}`);
    conditions.push(`(${key.map(quoteIdent).join(', ')}) ${operator} (${parameters.join(', ')})`);
  };
  if (bounds.lowerKey !== null) compare('>', bounds.lowerKey);
  if (bounds.upperKey !== null) compare('<=', bounds.upperKey);
  return {
    text: `select ${columns.map(quoteIdent).join(', ')} from ${quoteTable(table)}${where(conditions)}${orderBy(key)}`,
    values,
  };
}

function selectionConditions({ resource, request, accountSourceId }: RowSelection): {
  conditions: string[];
  values: string[];
} {
  const conditions: string[] = [];
  const values: string[] = [];
  const compare = (column: string, operator: string, value: string) => {
    conditions.push(`${quoteIdent(column)} ${operator} $${values.push(value)}`);
  };
  if (accountSourceId !== null) compare(resource.account, '=', accountSourceId);
  if (!request.includeDeleted && resource.softDelete !== undefined) {
    conditions.push(`${quoteIdent(resource.softDelete)} is null`);
  }
  const field = rangeField(resource, request);
  if (field !== undefined) {
    if (request.dateRange?.from != null) compare(field, '>=', request.dateRange.from);
    if (request.dateRange?.to != null) compare(field, '<', request.dateRange.to);
  }
  return { conditions, values };
}

/**
 * The column that a date range means for a resource. One that only came along with another is taken whole, because
 * a record in the range may refer to one outside of it.
 */
function rangeField(resource: Resource, { dateRange, resources }: ExportRequest): string | undefined {
  if (dateRange === undefined || !resources.includes(resource.name)) return undefined;
  return dateRange.field ?? resource.range;
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
}

function orderBy(key: readonly string[]): string {
  return ` order by ${key.map(quoteIdent).join(', ')}`;
}
