import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** Repeated, because an interrupt that comes before the statement has begun is forgotten. */
const INTERRUPT_EVERY_MS = 100;

/** Of these the first line names a file or an amount of memory. That of any other may quote a value. */
const TELLING = new Set(['IO Error', 'Out of Memory Error']);

/**
 * A statement that DuckDB refused or failed. Its own message may hold a customer's values, so what is kept is the class
 * of the failure, and the first line where that is known to hold none.
 */
export class DuckdbError extends Error {
  override readonly name = 'DuckdbError';
  readonly kind: string;

  constructor(failure: unknown) {
    const message = failure instanceof Error ? failure.message : '';
    const kind = /^[A-Z][A-Za-z ]* Error(?=:)/.exec(message)?.[0] ?? 'unknown failure';
    super(TELLING.has(kind) ? message.split('\n', 1)[0] : kind);
    this.kind = kind;
  }

  get isOutOfMemory(): boolean {
    return this.kind === 'Out of Memory Error';
  }
}

export interface DuckdbSession extends Disposable {
  /** @throws DuckdbError; the signal's reason once it aborts, which stops a statement under way */
  run(sql: string): Promise<readonly (readonly unknown[])[]>;
}

/**
 * A DuckDB of its own, in memory, that may use so much of it and spills into `spillFolder`. Statements run on a thread of
 * the pool, so that the event loop goes on.
 *
 * One thread and no kept order: that is what makes it write each group of rows as soon as it has enough bytes, and in the
 * order read all the same, since there is nobody to be overtaken by. The bytes of a file then depend on its rows alone.
 */
export async function openDuckdb(
  memoryMb: number,
  spillFolder: string,
  signal: AbortSignal,
): Promise<DuckdbSession> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    preserve_insertion_order: 'false',
    memory_limit: `${memoryMb}MB`,
    temp_directory: spillFolder,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  let connection: DuckDBConnection;
  try {
    connection = await instance.connect();
    await connection.run(`SET TimeZone = 'UTC'`);
  } catch (cause) {
    instance.closeSync();
    throw cause;
  }
  return {
    async run(sql) {
      signal.throwIfAborted();
      const interrupt = () => {
        if (signal.aborted) connection.interrupt();
      };
      const timer = setInterval(interrupt, INTERRUPT_EVERY_MS);
      signal.addEventListener('abort', interrupt, { once: true });
      try {
        const reader = await connection.runAndReadAll(sql);
        return reader.getRowsJS();
      } catch (failure) {
        signal.throwIfAborted();
        throw new DuckdbError(failure);
      } finally {
        clearInterval(timer);
        signal.removeEventListener('abort', interrupt);
      }
    },
    [Symbol.dispose]() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}
