"""A replica in a SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import Iterator, Mapping, Sequence

from ._replica_state import StoredRecord, StoreTransaction
from ._types import ManifestColumn

#: Seconds that a transaction waits for that of another process.
_BUSY_SECONDS = 30.0
#: Above the number of every load.
_MAX_LOAD = 2**53


class SqliteStore:
    """A replica in a SQLite file.

    Each resource is a view with the columns of its records, such as ``invoices``, and with the
    record itself as JSON in ``_json``. Integers of up to 64 bits and texts are exact in the views;
    everything is in ``_json``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # A connection has one transaction at a time.
        self._lock = threading.Lock()
        #: The replica uses it from any thread.
        self.connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # With `full` a transaction that has been acknowledged survives a loss of power too.
        self.connection.executescript(
            """
            pragma journal_mode = wal;
            pragma synchronous = full;
            begin immediate;
            create table if not exists tandem_state (
              id integer primary key check (id = 1), shown integer not null, state text not null
            );
            create table if not exists tandem_records (
              load integer not null, resource text not null, key text not null,
              data text, position text, at text, primary key (load, resource, key)
            ) without rowid;
            create index if not exists tandem_deleted on tandem_records (load, at)
              where data is null;
            commit;
            """
        )
        self._transaction = _Transaction(self.connection)

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        with self._lock:
            self.connection.execute("begin immediate")
            try:
                yield self._transaction
            except BaseException:
                self.connection.execute("rollback")
                raise
            self.connection.execute("commit")

    def close(self) -> None:
        self.connection.close()


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read_state(self) -> str | None:
        row = self._connection.execute("select state from tandem_state").fetchone()
        return None if row is None else str(row[0])

    def write_state(self, state: str) -> None:
        self._connection.execute(
            "insert into tandem_state values (1, 0, ?)"
            " on conflict (id) do update set state = excluded.state",
            (state,),
        )

    def read(self, load: int, resource: str, key: str) -> StoredRecord | None:
        row = self._connection.execute(
            "select data, position, at from tandem_records"
            " where load = ? and resource = ? and key = ?",
            (load, resource, key),
        ).fetchone()
        return None if row is None else StoredRecord(*row)

    def scan(
        self, load: int, resource: str, after: str | None, limit: int
    ) -> Sequence[tuple[str, str]]:
        # Every key is greater than the empty text.
        return self._connection.execute(
            "select key, data from tandem_records where load = ? and resource = ? and key > ?"
            " and data is not null order by key limit ?",
            (load, resource, after or "", limit),
        ).fetchall()

    def write(self, load: int, resource: str, key: str, record: StoredRecord) -> None:
        self._connection.execute(
            "insert or replace into tandem_records values (?, ?, ?, ?, ?, ?)",
            (load, resource, key, record.data, record.position, record.at),
        )

    def show(self, load: int, columns: Mapping[str, Sequence[ManifestColumn]]) -> None:
        self._connection.execute("update tandem_state set shown = ?", (load,))
        for resource, each in columns.items():
            self._connection.execute(f"drop view if exists {_quote(resource)}")
            self._connection.execute(_view_of(resource, each))

    def drop_others(self, loads: Sequence[int], limit: int) -> bool:
        # Ranges that the primary key finds: `not in` reads every record.
        edges = [-1, *sorted(loads), _MAX_LOAD]
        left = limit
        for above, below in zip(edges, edges[1:]):
            dropped = self._connection.execute(
                "delete from tandem_records where (load, resource, key) in"
                " (select load, resource, key from tandem_records"
                " where load > ? and load < ? limit ?)",
                (above, below, left),
            )
            left -= dropped.rowcount
        return left == 0

    def drop_deleted(self, load: int, before: str) -> None:
        self._connection.execute(
            "delete from tandem_records where load = ? and data is null and at < ?", (load, before)
        )


def _view_of(resource: str, columns: Sequence[ManifestColumn]) -> str:
    """Nested values are JSON texts, and true and false are 1 and 0, as SQLite has them."""
    selected = []
    for column in columns:
        path = _literal("$." + json.dumps(column["name"], ensure_ascii=False))
        selected.append(f"json_extract(data, {path}) as {_quote(column['name'])}")
    return (
        f"create view {_quote(resource)} as select {', '.join([*selected, 'data as _json'])}"
        " from tandem_records where load = (select shown from tandem_state)"
        f" and resource = {_literal(resource)} and data is not null"
    )


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
