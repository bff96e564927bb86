import { describeRowType } from '../../shared/catalog/describe-table.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { Session } from '../../shared/postgres/session.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../shared/postgres/text-session.ts';
import { loadTypes } from '../../shared/values/database-types.ts';
import { type ComparedRecords, compareRows, type Difference } from '../cli/verify/compare-rows.ts';
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
 * Compares the replica with what the account has in the source, row by row, under one snapshot. A replica keeps what it has
 * parsed, so the source's rows are parsed as exact JSON too.
 */
export async function compareWithSource(
  sourceUrl: string,
  catalog: Catalog,
  accountSourceId: string,
  replica: Replica,
): Promise<Comparison> {
  const client = new Session({
    connectionString: sourceUrl,
    options: TEXT_SESSION_OPTIONS,
    types: rawTypes,
  });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read, read only');
    const types = await loadTypes(client);
    const result: Comparison = { rows: 0, differences: [], differenceCount: 0 };
    const onDifference = (found: Difference) => {
      result.differenceCount += 1;
      if (result.differences.length < MAX_DIFFERENCES) result.differences.push(showDifference(found));
    };
    const records = comparedRecords(replica, catalog);
    for (const resource of catalog.resources) {
      const rowType = await describeRowType(client, resource, types);
      const form = (json: string) => JSON.stringify(parseExactJson(json));
      result.rows += await compareRows({
        source: client,
        resource,
        rowType,
        accountSourceId,
        records,
        form,
        onDifference,
      });
    }
    for (const { resource, key } of records.rest()) {
      onDifference({ kind: 'extra', resource, key, columns: [] });
    }
    return result;
  } finally {
    await client.end();
  }
}

function comparedRecords(replica: Replica, catalog: Catalog): ComparedRecords {
  const taken = new Set<string>();
  return {
    take(resource, key) {
      const json = replica.records(resource).get(key);
      if (json === undefined) return undefined;
      taken.add(`${resource} ${key}`);
      return { json, unknown: [] };
    },
    *rest() {
      for (const { name: resource } of catalog.resources) {
        for (const key of replica.records(resource).keys()) {
          if (!taken.has(`${resource} ${key}`)) yield { resource, key };
        }
      }
    },
  };
}

function showDifference({ kind, resource, key, columns }: Difference): string {
  if (kind === 'missing') return `${resource} ${key} is missing from the replica`;
  if (kind === 'extra') return `${resource} ${key} is not in the source`;
  const texts = columns.map(
    ({ name, source, replica }) => `${name} is ${source} in the source, ${replica} in the replica`,
  );
  return `${resource} ${key} differs: ${texts.join('; ')}`;
}
