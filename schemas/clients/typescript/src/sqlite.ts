import { DatabaseSync } from 'node:sqlite';
import type { ReplicaStore, StoredRecord, StoreTransaction } from './replica-store.ts';
import type { ManifestColumn } from './types.ts';

/** How long a transaction waits for that of another process. */
const BUSY_MS = 30_000;

/**
 * A replica in a SQLite file. Each resource is a view with the columns of its records, such as `invoices`, and with the
 * record itself as JSON in `_json`. Integers of up to 64 bits and texts are exact in the views; everything is in `_json`.
 */
export class SqliteStore implements ReplicaStore, Disposable {
  readonly database: DatabaseSync;
  readonly #transaction: StoreTransaction;
  /** A connection has one transaction at a time. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param path of the file, which is created if it is not there */
  constructor(path: string) {
    this.database = new DatabaseSync(path);
    // With `full` a transaction that has been acknowledged survives a loss of power too.
    this.database.exec(`
      pragma busy_timeout = ${BUSY_MS};
      pragma journal_mode = wal;
      pragma synchronous = full;
      begin immediate;
      create table if not exists tandem_state (id integer primary key check (id = 1), shown integer not null, state text not null);
      create table if not exists tandem_records (
        load integer not null, resource text not null, key text not null, data text, position text, at text,
        primary key (load, resource, key)
      ) without rowid;
      create index if not exists tandem_deleted on tandem_records (load, at) where data is null;
      commit;
    `);
    this.#transaction = transactionOf(this.database);
  }

  transaction<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#run(work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #run<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T> {
    this.database.exec('begin immediate');
    try {
      const result = await work(this.#transaction);
      this.database.exec('commit');
      return result;
    } catch (error) {
      this.database.exec('rollback');
      throw error;
    }
  }

  close(): void {
    this.database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function transactionOf(database: DatabaseSync): StoreTransaction {
  const readState = database.prepare('select state from tandem_state');
  const writeState = database.prepare(
    'insert into tandem_state values (1, 0, ?) on conflict (id) do update set state = excluded.state',
  );
  const show = database.prepare('update tandem_state set shown = ?');
  const read = database.prepare(
    'select data, position, at from tandem_records where load = ? and resource = ? and key = ?',
  );
  const scan = database.prepare(
    `select key, data from tandem_records
     where load = ? and resource = ? and key > ? and data is not null order by key limit ?`,
  );
  const write = database.prepare('insert or replace into tandem_records values (?, ?, ?, ?, ?, ?)');
  const dropBetween = database.prepare(
    `delete from tandem_records where (load, resource, key) in
       (select load, resource, key from tandem_records where load > ? and load < ? limit ?)`,
  );
  const dropDeleted = database.prepare(
    'delete from tandem_records where load = ? and data is null and at < ?',
  );
  return {
    readState: () => readState.get()?.state as string | undefined,
    writeState: (state) => void writeState.run(state),
    read: (load, resource, key) => read.get(load, resource, key) as StoredRecord | undefined,
    // Every key is greater than the empty text.
    scan: (load, resource, after = '', limit) => scan.all(load, resource, after, limit) as never,
    write: (load, resource, key, { data, position, at }) =>
      void write.run(load, resource, key, data, position, at),
    show: (load, columns) => {
      show.run(load);
      for (const [resource, each] of Object.entries(columns)) database.exec(viewOf(resource, each));
    },
    dropOthers: (loads, limit) => {
      let left = limit;
      for (const [above, below] of gapsBetween(loads))
        left -= Number(dropBetween.run(above, below, left).changes);
      return left === 0;
    },
    dropDeleted: (load, before) => void dropDeleted.run(load, before),
  };
}

/** The numbers around those that are kept, as ranges that the primary key finds: `not in` reads every record. */
function gapsBetween(loads: readonly number[]): (readonly [above: number, below: number])[] {
  const edges = [-1, ...loads.toSorted((a, b) => a - b), Number.MAX_SAFE_INTEGER];
  return edges.slice(1).map((below, index) => [edges[index] ?? -1, below]);
}

/** Nested values are JSON texts, and true and false are 1 and 0, as SQLite has them. */
function viewOf(resource: string, columns: readonly ManifestColumn[]): string {
  const name = quote(resource);
  const selected = columns.map(
    (column) => `data ->> ${literal(`$.${JSON.stringify(column.name)}`)} as ${quote(column.name)}`,
  );
  return `
    drop view if exists ${name};
    create view ${name} as select ${[...selected, 'data as _json'].join(', ')} from tandem_records
      where load = (select shown from tandem_state) and resource = ${literal(resource)} and data is not null`;
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
