import { DatabaseSync } from 'node:sqlite';
import type { ComparedRecord, ComparedRecords } from './compare-rows.ts';

/** The records of one account as a subscriber has them: the export's files with the feed applied. */
export interface RecordStore extends ComparedRecords, Disposable {
  /** @returns false when the resource has a record of this key already, which then stays as it is */
  insert(resource: string, key: string, json: string): boolean;
  find(resource: string, key: string): ComparedRecord | undefined;
  put(resource: string, key: string, record: ComparedRecord): void;
  remove(resource: string, key: string): void;
  /** @returns false when this change of this transaction has been noted before */
  noteChange(xid: bigint, index: number): boolean;
}

interface Row {
  readonly id: number;
  readonly json: string;
  readonly unknown: string | null;
}

const CACHE_KIB = 64 * 1024;

/**
 * Kept in a file, so that memory stays flat whatever the number of records: it takes about the files' uncompressed size
 * on disk, and one bit a record in memory. The file is thrown away afterwards, hence nothing of it needs to survive a crash.
 */
export function openRecordStore(path: string): RecordStore {
  const db = new DatabaseSync(path);
  db.exec(`
    pragma journal_mode = off; pragma synchronous = off; pragma locking_mode = exclusive;
    pragma cache_size = -${CACHE_KIB};
    create table records (id integer primary key, resource text not null, key text not null, json text not null,
                          unknown text);
    create unique index records_by_key on records (resource, key);
    create table changes (xid integer not null, idx integer not null, primary key (xid, idx)) without rowid;
    begin`);
  const insert = db.prepare('insert or ignore into records (resource, key, json) values (?, ?, ?)');
  const put = db.prepare(
    `insert into records (resource, key, json, unknown) values (?, ?, ?, ?)
     on conflict (resource, key) do update set json = excluded.json, unknown = excluded.unknown`,
  );
  const find = db.prepare('select id, json, unknown from records where resource = ? and key = ?');
  const remove = db.prepare('delete from records where resource = ? and key = ?');
  const note = db.prepare('insert or ignore into changes (xid, idx) values (?, ?)');
  const all = db.prepare('select id, resource, key from records');
  let taken = new Uint8Array(1024);

  const look = (resource: string, key: string) => find.get(resource, key) as unknown as Row | undefined;
  return {
    insert: (resource, key, json) => insert.run(resource, key, json).changes === 1,
    find(resource, key) {
      const row = look(resource, key);
      return row && toRecord(row);
    },
    put(resource, key, { json, unknown }) {
      put.run(resource, key, json, unknown.length === 0 ? null : JSON.stringify(unknown));
    },
    remove: (resource, key) => void remove.run(resource, key),
    noteChange: (xid, index) => note.run(xid, index).changes === 1,
    take(resource, key) {
      const row = look(resource, key);
      if (row === undefined) return undefined;
      const place = row.id >> 3;
      if (place >= taken.length) {
        const larger = new Uint8Array(Math.max(place + 1, taken.length * 2));
        larger.set(taken);
        taken = larger;
      }
      taken[place] = (taken[place] ?? 0) | (1 << (row.id & 7));
      return toRecord(row);
    },
    *rest() {
      for (const row of all.iterate()) {
        const { id, resource, key } = row as unknown as { id: number; resource: string; key: string };
        if (((taken[id >> 3] ?? 0) & (1 << (id & 7))) === 0) yield { resource, key };
      }
    },
    [Symbol.dispose]: () => db.close(),
  };
}

function toRecord({ json, unknown }: Row): ComparedRecord {
  return { json, unknown: unknown === null ? [] : (JSON.parse(unknown) as string[]) };
}
