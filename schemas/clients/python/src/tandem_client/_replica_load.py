from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Callable, Iterator, Sequence

from ._errors import ChecksumError, GoneError, JobError, ReplicaError
from ._files import lines_of, verified
from ._generated import Export, ExportFile
from ._raw_json import members_of, object_of
from ._replica_state import Loading, State, StoredRecord, StoreTransaction, begin_load, end_load
from ._types import ManifestColumn
from .client import Tandem

Work = Callable[[StoreTransaction, "State | None"], "State | None"]
#: Changes the state and the records in one transaction, and returns the state.
Change = Callable[[Work], "State | None"]

#: Rows of one transaction.
_BATCH_ROWS = 2_000
#: Exports that end without files, one after the other, before the error is the caller's.
_MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class LoadProgress:
    export: Export
    resource: str | None
    #: Rows that are stored, of all files.
    rows: int


OnProgress = Callable[[LoadProgress], object]


def run_load(
    client: Tandem,
    change: Change,
    state: State,
    *,
    on_progress: OnProgress | None,
    stop: threading.Event | None,
) -> None:
    """Finishes the load that the state names, by the export of an earlier process or a new one."""

    def report(export: Export, resource: str | None, rows: int) -> None:
        if on_progress is not None:
            on_progress(LoadProgress(export, resource, rows))

    current = state
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        loading = current.loading
        if loading is None:
            return
        try:
            export = client.exports.create(
                resources=list(current.resources), idempotency_key=f"{loading.attempt}-export"
            ).wait(on_progress=lambda job: report(job, None, 0), stop=stop)
            _load_export(client, change, loading, export, report, stop)
            return
        except (JobError, GoneError, ChecksumError) as error:
            # The same key would find the same export again.
            following = change(lambda _, now: _again(now, loading))
            is_for_good = isinstance(error, JobError) and error.job["status"] == "failed"
            if is_for_good or attempt == _MAX_ATTEMPTS or following is None:
                raise
            current = following


def _again(now: State | None, loading: Loading) -> State | None:
    if now is None or now.loading is None or now.loading.attempt != loading.attempt:
        return now
    return begin_load(now, now.resources, loading.reason)


def _load_export(
    client: Tandem,
    change: Change,
    begun: Loading,
    export: Export,
    report: Callable[[Export, str | None, int], None],
    stop: threading.Event | None,
) -> None:
    loading = _claim(change, begun, export["id"])
    schemas = client.exports.manifest(export["id"])["schemas"]
    rows = 0
    for file in export["files"]:
        columns = schemas[file["resource"] or ""]["columns"]
        for stored in _load_file(client, change, loading, export["id"], file, columns, stop):
            report(export, file["resource"], rows + stored)
        rows += file["rows"]

    def finish(transaction: StoreTransaction, state: State | None) -> State:
        now, latest = _require(state, loading)
        shown = {name: schema["columns"] for name, schema in schemas.items()}
        transaction.show(loading.load, shown)
        return end_load(now, latest)

    change(finish)


def _claim(change: Change, begun: Loading, export_id: str) -> Loading:
    """Notes the export that the load's rows are of.

    The key of a load that was interrupted for very long may give another export; its rows go into
    a load of their own.
    """

    def work(_: StoreTransaction, state: State | None) -> State:
        now, loading = _require(state, begun)
        if loading.export_id not in (None, export_id):
            loading = replace(loading, load=loading.load + 1, rows={})
        return replace(now, loading=replace(loading, export_id=export_id))

    return _require(change(work), begun)[1]


def _load_file(
    client: Tandem,
    change: Change,
    loading: Loading,
    export_id: str,
    file: ExportFile,
    columns: Sequence[ManifestColumn],
    stop: threading.Event | None,
) -> Iterator[int]:
    """Stores the rows of a file that are not stored yet. Yields the number of rows that are."""
    keys = [column["name"] for column in columns if column["key"]]
    known = loading.rows.get(file["name"], 0)
    count = 0
    batch: list[str] = []

    def store(transaction: StoreTransaction, state: State | None) -> State:
        now, latest = _require(state, loading)
        for line in batch:
            record = StoredRecord(data=line)
            transaction.write(loading.load, file["resource"] or "", _key_of(line, keys), record)
        rows = {**latest.rows, file["name"]: count}
        return replace(now, loading=replace(latest, rows=rows))

    # Rows that are stored are read again, so that the checksum is that of the whole file.
    chunks = verified(file, client.exports.read(export_id, file, stop=stop))
    for line in lines_of(chunks):
        count += 1
        if count > known:
            batch.append(line)
        if len(batch) >= _BATCH_ROWS:
            change(store)
            batch.clear()
            yield count
    if count != file["rows"]:
        raise ChecksumError(
            f"{file['name']} has {count} rows, and the manifest has {file['rows']}."
        )
    if batch:
        change(store)
    yield count


def _key_of(line: str, keys: Sequence[str]) -> str:
    """The key columns in the order of the row, as an event has them in ``key``."""
    members = members_of(line)
    return object_of({name: members.get(name, "null") for name in keys})


def _require(state: State | None, loading: Loading) -> tuple[State, Loading]:
    if state is None or state.loading is None or state.loading.attempt != loading.attempt:
        raise ReplicaError("Another process has begun a new load of this replica.")
    return state, state.loading
