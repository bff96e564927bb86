import { existsSync, renameSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { compareWithSource } from '../../deploy/demo/compare.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import { createReplica } from '../../deploy/demo/replica.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { startCallProxy } from './call-proxy.ts';
import type { Program } from './program.ts';
import { waitFor } from './wait-for.ts';

/** A process that keeps a replica in a file of SQLite. */
export interface ReplicaProcess {
  readonly name: string;
  readonly file: string;
  readonly program: Program;
}

/** The state that the replica has stored; undefined before its first. */
export function stateOf({
  file,
}: ReplicaProcess): { shown?: number; exportId?: string; webhook?: { exportId: string } } | undefined {
  if (!existsSync(file)) return undefined;
  try {
    using db = new DatabaseSync(file, { readOnly: true });
    const row = db.prepare('select state from tandem_state').get();
    return row === undefined ? undefined : JSON.parse(String(row.state));
  } catch {
    // The process has not made its tables yet.
    return undefined;
  }
}

/** Whether the replica has an endpoint that follows the export that it shows. */
export function isFollowing(replicas: readonly ReplicaProcess[], name: string): boolean {
  const replica = replicas.find((each) => each.name === name);
  const state = replica && stateOf(replica);
  return state?.webhook !== undefined && state.webhook.exportId === state.exportId;
}

/** What is different between the replica in a file and the source. */
export async function differencesOf(
  world: World,
  customer: Customer,
  file: string,
): Promise<readonly string[]> {
  if (!existsSync(file)) return ['there is no file'];
  using db = new DatabaseSync(file, { readOnly: true });
  const replica = createReplica();
  const exact = (json: unknown) => JSON.stringify(parseExactJson(String(json)));
  const rows = db
    .prepare(
      `select resource, key, data from tandem_records
         where load = (select shown from tandem_state) and data is not null`,
    )
    .all();
  for (const { resource, key, data } of rows) {
    (replica.records(String(resource)) as Map<string, string>).set(exact(key), exact(data));
  }
  const found = await compareWithSource(world.sourceUrl, world.catalog, customer.sourceId, replica);
  return found.differences;
}

/** @throws Error with what is different and what the process has printed, when a replica does not get there */
export async function untilEqual(
  world: World,
  customer: Customer,
  replicas: readonly ReplicaProcess[],
): Promise<void> {
  for (const { name, file, program } of replicas) {
    let last: readonly string[] = [];
    await waitFor(`${name} to be the source`, async () => {
      last = await differencesOf(world, customer, file);
      return last.length === 0;
    }).catch((cause: unknown) => {
      throw new Error(`${name}: ${last.slice(0, 5).join('\n')}\n${program.output}`, { cause });
    });
  }
}

/** A database of SQLite that was killed is three files. */
export function exchangeFiles(files: readonly string[]): void {
  const [first = '', second = ''] = files;
  for (const part of ['', '-wal', '-shm']) {
    const isThere = [first, second].map((file) => existsSync(file + part));
    if (isThere[0]) renameSync(first + part, `${first}${part}.moved`);
    if (isThere[1]) renameSync(second + part, first + part);
    if (isThere[0]) renameSync(`${first}${part}.moved`, second + part);
  }
}

/** Stands before the API, and kills a process at one of its calls: before the API has it, or before the response is back. */
export async function startKiller(apiUrl: string, kill: () => Promise<void> | undefined) {
  const killer = {
    at: undefined as { readonly call: string; readonly when: 'before' | 'after' } | undefined,
  };
  const proxy = await startCallProxy(apiUrl, async (call, forward) => {
    const found = killer.at !== undefined && call.startsWith(killer.at.call) ? killer.at : undefined;
    if (found?.when !== 'before') await forward();
    if (found === undefined) return;
    killer.at = undefined;
    await kill();
  });
  return Object.assign(killer, proxy);
}
