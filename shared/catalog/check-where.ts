import { DatabaseError } from 'pg';
import { type FilterNode, filterColumns } from '../domain/bulk-filter.ts';
import type { Catalog, Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import { type FilterFamily, filterFamily, isOrdered, literalFault } from '../values/filter-values.ts';
import { type ColumnFacts, readColumnFacts } from './column-facts.ts';
import type { Finding } from './finding.ts';
import { whereSql } from './where-sql.ts';

/**
 * Refuses row filters that files and feed could evaluate differently: PostgreSQL filters the rows of a file, and capture the
 * changes of the feed. An accepted filter is also tried in PostgreSQL, which knows labels, dates and ranges.
 */
export async function checkWhere(db: Queryable, { resources }: Catalog): Promise<Finding[]> {
  const wanted = resources.flatMap(({ name, table, where }) =>
    where === undefined
      ? []
      : filterColumns(where).map((column) => ({
          resource: name,
          schema: table.schema,
          table: table.name,
          column,
        })),
  );
  if (wanted.length === 0) return [];
  const facts = await readColumnFacts(db, wanted);
  const findings: Finding[] = [];
  for (const resource of resources) {
    if (resource.where === undefined) continue;
    const ofColumn = (name: string) =>
      facts.find((one) => one.resource === resource.name && one.column === name);
    // Another check reports a missing column.
    if (filterColumns(resource.where).some((name) => ofColumn(name) === undefined)) continue;
    const faults = [...faultsOf(resource.where, (name) => ofColumn(name) as ColumnFacts)];
    const message = faults.length > 0 ? faults.join('; ') : await refusal(db, resource);
    if (message !== undefined) {
      findings.push({ code: 'where', resource: resource.name, message: `where can't be used: ${message}.` });
    }
  }
  return findings;
}

function* faultsOf(node: FilterNode, factsOf: (column: string) => ColumnFacts): Generator<string> {
  if (node.kind === 'group') {
    for (const part of node.nodes) yield* faultsOf(part, factsOf);
    return;
  }
  const facts = factsOf(node.column);
  if (node.kind === 'is_null') {
    // One whose parts are all null is null to PostgreSQL, though it is stored.
    if (facts.kind === 'c') yield `${node.column} is ${facts.typeName}, which supports no condition`;
    return;
  }
  const family = comparableFamily(facts);
  if (family === undefined) {
    const why = facts.isDeterministic
      ? `is ${facts.typeName}, which supports only is_null`
      : 'has a nondeterministic collation, under which different texts are equal; it supports only is_null';
    yield `${node.column} ${why}`;
    return;
  }
  if (node.kind === 'prefix') {
    if (family !== 'text' && family !== 'padded')
      yield `${node.column} is ${facts.typeName}; prefix is for text columns`;
    else if (!node.prefix.isWellFormed()) yield `${node.column} prefix must be a string`;
    return;
  }
  if (node.kind === 'compare' && node.by !== 'eq' && node.by !== 'ne' && !isOrdered(family)) {
    yield `${node.column} is ${facts.typeName}, which supports only eq, ne, in, is_null${family === 'text' ? ' and prefix' : ''}`;
    return;
  }
  for (const { text } of node.kind === 'in' ? node.values : [node.value]) {
    const fault = literalFault(family, text);
    if (fault !== undefined) yield `${node.column}: ${JSON.stringify(text)} ${fault}`;
  }
}

function comparableFamily({ schema, name, kind, isDeterministic }: ColumnFacts): FilterFamily | undefined {
  if (!isDeterministic) return undefined;
  if (kind === 'e') return 'label';
  return schema === 'pg_catalog' ? filterFamily(name) : undefined;
}

/** Syntax errors and access rules, data exceptions, and what exceeds limits: the filter's own fault. */
const FILTER_SQLSTATE = /^(22|42|54)/;

async function refusal(db: Queryable, resource: Resource): Promise<string | undefined> {
  const values: string[] = [];
  const conditions = whereSql(resource, quoteIdent, (text) => `$${values.push(text)}`);
  try {
    await db.query(
      `select from ${quoteTable(resource.table)} where ${conditions.join(' and ')} limit 0`,
      values,
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError) || !FILTER_SQLSTATE.test(error.code ?? '')) throw error;
    // Another check reports missing rights.
    return error.code === '42501' ? undefined : error.message;
  }
}
