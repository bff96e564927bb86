import pg from 'pg';
import { describeShape } from '../../../shared/catalog/describe-table.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import { loadTypes } from '../../../shared/values/load-types.ts';
import { createRowJson, toWireTexts } from '../../../shared/values/row-json.ts';
import { parseExactJson } from './exact-json.ts';
import type { Replica } from './replica.ts';

export interface Comparison {
  /** Records in the source. */
  rows: number;
  /** A line for each record that is missing, left over or different; at most `MAX_DIFFERENCES` of them. */
  differences: string[];
  differenceCount: number;
}

const MAX_DIFFERENCES = 20;

/**
 * Compares the replica with what the account has in the source, row by row, under one snapshot. The source's rows are
 * printed by the same serializer as files and events, and both sides are then read as exact JSON.
 */
export async function compareWithSource(
  sourceUrl: string,
  catalog: Catalog,
  accountSourceId: string,
  replica: Replica,
): Promise<Comparison> {
  const client = new pg.Client({
    connectionString: sourceUrl,
    options: TEXT_SESSION_OPTIONS,
    types: rawTypes,
  });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read, read only');
    const types = await loadTypes(client);
    const result: Comparison = { rows: 0, differences: [], differenceCount: 0 };
    const note = (line: string) => {
      result.differenceCount += 1;
      if (result.differences.length < MAX_DIFFERENCES) result.differences.push(line);
    };
    for (const resource of catalog.resources) {
      const shape = await describeShape(client, resource, types);
      const { toJson } = createRowJson(shape);
      const { rows } = await client.query<(string | null)[]>({
        text: selectRows(
          resource,
          shape.columns.map(({ name }) => name),
        ),
        values: [accountSourceId],
        rowMode: 'array',
      });
      const records = new Map(replica.records(resource.name));
      for (const row of rows) {
        const record = parseExactJson(toJson(toWireTexts(shape, row))) as Record<string, unknown>;
        const key = JSON.stringify(
          Object.fromEntries(resource.key.map((column) => [column, record[column]])),
        );
        const expected = JSON.stringify(record);
        const actual = records.get(key);
        if (actual === undefined) note(`${resource.name} ${key} is missing from the replica`);
        else if (actual !== expected)
          note(`${resource.name} ${key} differs: source ${expected}, replica ${actual}`);
        records.delete(key);
        result.rows += 1;
      }
      for (const key of records.keys()) note(`${resource.name} ${key} is not in the source`);
    }
    return result;
  } finally {
    await client.end();
  }
}

function selectRows(resource: Resource, columns: readonly string[]): string {
  const alive = resource.softDelete === undefined ? '' : ` and ${quoteIdent(resource.softDelete)} is null`;
  return `select ${columns.map(quoteIdent).join(', ')} from ${quoteTable(resource.table)}
    where ${quoteIdent(resource.account)} = $1${alive}`;
}
