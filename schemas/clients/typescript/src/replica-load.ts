import type { Tandem } from './client.ts';
import { ChecksumError, GoneError, JobError, ReplicaError } from './errors.ts';
import { linesOf, verified } from './file-stream.ts';
import { membersOf, objectOf } from './raw-json.ts';
import { beginLoad, endLoad, type Loading, type ReplicaState } from './replica-state.ts';
import type { StoreTransaction } from './replica-store.ts';
import type { Export, ExportFile, ManifestColumn } from './types.ts';

/** Changes the state and the records in one transaction. The work returns the new state, or undefined to leave it. */
export type Change = (
  work: (
    transaction: StoreTransaction,
    state: ReplicaState | undefined,
  ) => Promise<ReplicaState | undefined> | ReplicaState | undefined,
) => Promise<ReplicaState | undefined>;

export interface LoadProgress {
  readonly export: Export;
  readonly resource: string | null;
  /** Rows that are stored, of all files. */
  readonly rows: number;
}

export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Rows of one transaction. */
const BATCH_ROWS = 2_000;
/** Exports that end without files, one after the other, before the error is the caller's. */
const MAX_ATTEMPTS = 3;

/** Finishes the load that the state names, by its export: the one of an earlier process, or a new one. */
export async function runLoad(
  client: Tandem,
  change: Change,
  state: ReplicaState,
  options: LoadOptions,
): Promise<void> {
  let current = state;
  for (let attempt = 1; ; attempt += 1) {
    const { loading, resources } = current;
    if (loading === undefined) return;
    try {
      const exported = await client.exports
        .create({ resources }, { idempotencyKey: `${loading.attempt}-export`, signal: options.signal })
        .wait({
          signal: options.signal,
          onProgress: (job) => options.onProgress?.({ export: job, resource: null, rows: 0 }),
        });
      await loadExport(client, change, loading, exported, options);
      return;
    } catch (error) {
      const hasNoFiles =
        error instanceof JobError || error instanceof GoneError || error instanceof ChecksumError;
      if (!hasNoFiles) throw error;
      // The same key would find the same export again.
      const next = await change((_, now) => {
        if (now?.loading?.attempt !== loading.attempt) return now;
        return beginLoad(now, resources, loading.reason);
      });
      const isForGood = error instanceof JobError && (error.job as Export).status === 'failed';
      if (isForGood || attempt === MAX_ATTEMPTS || next === undefined) throw error;
      current = next;
    }
  }
}

async function loadExport(
  client: Tandem,
  change: Change,
  begun: Loading,
  exported: Export,
  options: LoadOptions,
): Promise<void> {
  const loading = await claim(change, begun, exported);
  const { schemas } = await client.exports.manifest(exported, { signal: options.signal });
  let rows = 0;
  for (const file of exported.files) {
    const columns = schemas[file.resource ?? '']?.columns ?? [];
    for await (const stored of loadFile(
      client,
      change,
      loading,
      exported.id,
      file,
      columns,
      options.signal,
    )) {
      options.onProgress?.({ export: exported, resource: file.resource, rows: rows + stored });
    }
    rows += file.rows;
  }
  await change(async (transaction, state) => {
    if (state?.loading?.attempt !== loading.attempt) throw movedOn();
    const columns = Object.entries(schemas).map(([resource, schema]) => [resource, schema.columns] as const);
    await transaction.show(loading.load, Object.fromEntries(columns));
    return endLoad(state, state.loading);
  });
}

/**
 * Notes the export that the load's rows are of. The key of a load that was interrupted for very long may give another
 * export; its rows go into a load of their own.
 */
async function claim(change: Change, begun: Loading, exported: Export): Promise<Loading> {
  const state = await change((_, now) => {
    if (now?.loading?.attempt !== begun.attempt) throw movedOn();
    const isOther = now.loading.exportId !== undefined && now.loading.exportId !== exported.id;
    const load = isOther ? now.loading.load + 1 : now.loading.load;
    const rows = isOther ? {} : now.loading.rows;
    return { ...now, loading: { ...now.loading, load, rows, exportId: exported.id } };
  });
  if (state?.loading === undefined) throw movedOn();
  return state.loading;
}

/** Stores the rows of a file that are not stored yet. Yields the number of rows that are. */
async function* loadFile(
  client: Tandem,
  change: Change,
  loading: Loading,
  exportId: string,
  file: ExportFile,
  columns: readonly ManifestColumn[],
  signal: AbortSignal | undefined,
): AsyncGenerator<number, void, undefined> {
  const keys = columns.filter(({ key }) => key).map(({ name }) => name);
  const known = loading.rows[file.name] ?? 0;
  let count = 0;
  let batch: string[] = [];
  const store = async () => {
    const lines = batch;
    batch = [];
    await change(async (transaction, state) => {
      if (state?.loading?.attempt !== loading.attempt) throw movedOn();
      for (const line of lines) {
        const record = { data: line, position: null, at: null };
        await transaction.write(loading.load, file.resource ?? '', keyOf(line, keys), record);
      }
      const rows = { ...state.loading.rows, [file.name]: count };
      return { ...state, loading: { ...state.loading, rows } };
    });
  };
  // Rows that are stored are read again, so that the checksum is that of the whole file.
  for await (const line of linesOf(verified(file, client.exports.read(exportId, file, { signal })))) {
    count += 1;
    if (count > known && batch.push(line) >= BATCH_ROWS) {
      await store();
      yield count;
    }
  }
  if (count !== file.rows) {
    throw new ChecksumError(`${file.name} has ${count} rows, and the manifest has ${file.rows}.`);
  }
  if (batch.length > 0) await store();
  yield count;
}

/** The key columns in the order of the row, as an event has them in `key`. */
function keyOf(line: string, keys: readonly string[]): string {
  const members = membersOf(line);
  return objectOf(keys.map((name) => [name, members.get(name) ?? 'null'] as const));
}

function movedOn(): ReplicaError {
  return new ReplicaError('Another process has begun a new load of this replica.');
}
