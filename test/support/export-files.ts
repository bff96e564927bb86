import type { ExportView } from '../../deploy/demo/api-client.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import { linesOfBody, type Replica } from '../../deploy/demo/replica.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { publicKey } from '../../shared/domain/public-names.ts';

type JsonObject = Record<string, unknown>;

const EXPORT_LIMIT_MS = 120_000;

/** Starts an export with this body, waits for its end, and reads its files: name → lines as exact JSON. */
export async function takeExport(
  customer: Customer,
  body: JsonObject,
): Promise<{ id: string; files: Map<string, JsonObject[]> }> {
  const { id } = await customer.client.call<ExportView>('POST', '/exports', body);
  return { id, files: await readFiles(customer, id) };
}

async function readFiles(customer: Customer, exportId: string): Promise<Map<string, JsonObject[]>> {
  const view = await customer.client.completedExport(exportId, EXPORT_LIMIT_MS);
  const files = new Map<string, JsonObject[]>();
  for (const file of view.files ?? []) {
    const response = await fetch(file.url);
    if (!response.ok || response.body === null) throw new Error(`${file.name} answered ${response.status}`);
    const rows: JsonObject[] = [];
    for await (const line of linesOfBody(response.body, file.name)) {
      if (line !== '') rows.push(parseExactJson(line) as JsonObject);
    }
    if (rows.length !== file.rows)
      throw new Error(`${file.name} holds ${rows.length} rows, not ${file.rows}`);
    files.set(file.name, rows);
  }
  return files;
}

/**
 * Applies the files of an export of changes to a replica as a customer would: deleted keys away, changed rows in.
 *
 * @returns what such files can't contain: a key twice, or in both files
 */
export function applyChanges(
  world: World,
  files: ReadonlyMap<string, JsonObject[]>,
  replica: Replica,
): string[] {
  const faults: string[] = [];
  for (const resource of world.catalog.resources) {
    const { name } = resource;
    const key = publicKey(resource);
    const keyOf = (row: JsonObject) =>
      JSON.stringify(Object.fromEntries(key.map((each) => [each, row[each]])));
    // A replica lets itself be written to by a feed only; these are files.
    const records = replica.records(name) as Map<string, string>;
    const told = new Set<string>();
    const tell = (row: JsonObject) => {
      if (told.has(keyOf(row))) faults.push(`${name} ${keyOf(row)} is told of twice`);
      told.add(keyOf(row));
    };
    for (const row of files.get(`${name}.deleted.jsonl`) ?? []) {
      tell(row);
      records.delete(keyOf(row));
    }
    for (const row of files.get(`${name}.changed.jsonl`) ?? []) {
      tell(row);
      records.set(keyOf(row), JSON.stringify(row));
    }
  }
  return faults;
}
