"""Compares a replica with the source at one position of the feed."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Callable, Iterator, Literal, Mapping, Sequence

from ._errors import NotFoundError, ReplicaError, TandemError
from ._files import lines_of, verified
from ._generated import Export, ExportFile
from ._record_digest import BUCKETS, DigestSum, bucket_of, digest_of
from ._replica_events import RawEvent
from ._replica_load import Change
from ._replica_pull import pull_to
from ._replica_state import Check, State, StoreTransaction, is_held, is_held_by
from ._retry import pause
from .client import Tandem

_SCAN_ROWS = 500
#: A process that dies in a check holds its replica for no longer than this.
_HOLD = timedelta(seconds=60)
_RENEW_SECONDS = 10.0
#: Longest time that events wait for the position: an export may have to wait in the queue.
_MAX_POSITION_SECONDS = 120.0
#: The replica may be ahead of the clock of the API.
_MAX_ATTEMPTS = 5
#: Records whose digests are held in memory to find those that differ.
_MAX_LISTED = 100_000
_MAX_DIFFERENCES = 1_000
_PAST_UNKNOWN = (
    "Past states of its records are not recorded: "
    "ask the operator to set as_of: true for it in the catalog, "
    "unless they have the account of another resource."
)


@dataclass(frozen=True)
class RecordDifference:
    """A record that is not as in the source."""

    #: The key columns as a JSON object.
    key: str
    kind: Literal["missing", "extra", "changed"]


@dataclass(frozen=True)
class CountAndDigest:
    rows: int
    digest: str


@dataclass(frozen=True)
class ResourceCheck:
    resource: str
    is_equal: bool
    source: CountAndDigest
    replica: CountAndDigest
    #: Buckets that differ.
    buckets: Sequence[int] = ()
    #: Records that differ, at a later position: one that was changed meanwhile is equal again.
    differences: Sequence[RecordDifference] = ()
    #: Whether every bucket that differs was looked through, and every difference is listed.
    is_complete: bool = True


@dataclass(frozen=True)
class ReplicaCheck:
    #: Whether every resource that was compared is equal.
    is_equal: bool
    export_id: str
    #: Time of the state that was compared.
    as_of: str
    #: Every event with a smaller position is in that state, and no other.
    position: str
    resources: Sequence[ResourceCheck]
    #: Resources that cannot be compared, with the reason.
    unchecked: Mapping[str, str]


@dataclass(frozen=True)
class Checked:
    """What a check needs of its replica."""

    client: Tandem
    change: Change
    #: Applies events, with the cursor behind them, for the check of this ID.
    apply: Callable[[Sequence[RawEvent], str, str], None]
    stop: threading.Event | None


@dataclass
class _OwnDigests:
    total: DigestSum = field(default_factory=DigestSum)
    buckets: list[DigestSum] = field(default_factory=lambda: [DigestSum() for _ in range(BUCKETS)])
    #: Digest by key, of the buckets that were asked for.
    listed: dict[str, str] = field(default_factory=dict)


def check_replica(checked: Checked) -> ReplicaCheck:
    """Compares the replica with the source, and finds the records that differ."""
    state = _require_loaded(checked.change(lambda _, now: now))
    possible, unchecked = _split(checked.client, state)
    if not possible:
        reasons = " ".join(f"{name}: {reason}" for name, reason in unchecked.items())
        raise ReplicaError(f"No resource can be compared. {reasons}")
    export, position, own = _compare_at(checked, possible, None)
    resources = [
        _compare(checked, export, file, own[file["resource"] or ""]) for file in export["files"]
    ]
    return ReplicaCheck(
        is_equal=all(each.is_equal for each in resources),
        export_id=export["id"],
        as_of=export["as_of"] or "",
        position=position,
        resources=resources,
        unchecked=unchecked,
    )


def _require_loaded(state: State | None) -> State:
    if state is None or state.shown == 0 or state.loading is not None:
        raise ReplicaError("The replica is not loaded: sync it first.")
    return state


def _split(client: Tandem, state: State) -> tuple[list[str], dict[str, str]]:
    pasts = {each["name"]: each["exports"]["as_of"] for each in client.resources.list()}
    unchecked: dict[str, str] = {}
    for name in state.resources:
        if name in state.stalled:
            unchecked[name] = f"Its changes are not sent at present ({state.stalled[name]})."
        elif not pasts.get(name):
            unchecked[name] = _PAST_UNKNOWN
    return [name for name in state.resources if name not in unchecked], unchecked


def _compare(
    checked: Checked, export: Export, file: ExportFile, own: _OwnDigests
) -> ResourceCheck:
    resource = file["resource"] or ""
    source = CountAndDigest(file["rows"], file.get("digest", ""))
    mine = CountAndDigest(own.total.rows, own.total.digest)
    if source == mine:
        return ResourceCheck(resource, True, source, mine)
    sizes: dict[int, int] = {}
    for line in _lines(checked, export, file):
        found = json.loads(line)
        bucket, rows = found["bucket"], found["rows"]
        ours = own.buckets[bucket]
        if (ours.rows, ours.digest) != (rows, found["digest"]):
            sizes[bucket] = max(rows, ours.rows)
    looked = _within_limit(sizes)
    differences, is_complete = _find_differences(checked, resource, looked)
    is_complete = is_complete and len(looked) == len(sizes)
    return ResourceCheck(resource, False, source, mine, list(sizes), differences, is_complete)


def _within_limit(sizes: Mapping[int, int]) -> list[int]:
    """Buckets whose records fit in memory together; one at least."""
    rows = 0
    buckets: list[int] = []
    for bucket, size in sizes.items():
        rows += size
        if not buckets or rows <= _MAX_LISTED:
            buckets.append(bucket)
    return buckets


def _find_differences(
    checked: Checked, resource: str, buckets: Sequence[int]
) -> tuple[list[RecordDifference], bool]:
    """Lists the records of some buckets on both sides, at a new position."""
    export, _, own = _compare_at(checked, [resource], buckets)
    left = own[resource].listed
    differences: list[RecordDifference] = []
    for file in export["files"]:
        for line in _lines(checked, export, file):
            # The key stays the text that it is.
            start, end = line.index('"key":') + len('"key":'), line.rindex(',"digest":"')
            key, digest = line[start:end], line[end + len(',"digest":"') : -2]
            ours = left.pop(key, None)
            if ours is None:
                differences.append(RecordDifference(key, "missing"))
            elif ours != digest:
                differences.append(RecordDifference(key, "changed"))
            if len(differences) > _MAX_DIFFERENCES:
                return differences[:_MAX_DIFFERENCES], False
    differences += [RecordDifference(key, "extra") for key in left]
    return differences[:_MAX_DIFFERENCES], len(differences) <= _MAX_DIFFERENCES


def _lines(checked: Checked, export: Export, file: ExportFile) -> Iterator[str]:
    chunks = checked.client.exports.read(export["id"], file, stop=checked.stop)
    return lines_of(verified(file, chunks))


_Compared = tuple[Export, str, Mapping[str, _OwnDigests]]


def _compare_at(
    checked: Checked, resources: Sequence[str], buckets: Sequence[int] | None
) -> _Compared:
    """Digests both sides at one position, the own records while no event is applied."""
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        found = _digest_at(checked, resources, buckets)
        if found is not None:
            export, position, own = found
            return checked.client.exports.wait(export["id"], stop=checked.stop), position, own
        pause(attempt, checked.stop)
    raise ReplicaError("The clock of the API is behind that of the source: try again later.")


def _digest_at(
    checked: Checked, resources: Sequence[str], buckets: Sequence[int] | None
) -> _Compared | None:
    """Begins an export, and digests the own records at its position. None: the replica is past it."""
    client = checked.client
    hold = _Hold(checked.change)
    try:
        request_key = f"{hold.id}-digest"
        if buckets is None:
            created = client.exports.create(
                resources=list(resources), format="digest", idempotency_key=request_key
            )
        else:
            created = client.exports.create(
                resources=list(resources),
                format="digest",
                buckets=list(buckets),
                idempotency_key=request_key,
            )
        is_wanted = False
        try:
            export, position = _await_position(checked, created.id, hold)
            if position < _reached(client, hold.state):
                return None

            def apply(events: Sequence[RawEvent], cursor: str) -> None:
                checked.apply(events, cursor, hold.id)
                hold.renew()

            pull_to(client, hold.state, position, apply, checked.stop)
            own = {name: _digest_own(checked, hold, name, buckets or ()) for name in resources}
            is_wanted = True
            return export, position, own
        finally:
            if not is_wanted:
                _cancel(client, created.id)
    finally:
        hold.release()


def _cancel(client: Tandem, export_id: str) -> None:
    try:
        client.exports.cancel(export_id)
    except TandemError:
        # It may have ended by itself, and an error that matters is raised already.
        pass


def _await_position(checked: Checked, export_id: str, hold: _Hold) -> tuple[Export, str]:
    started = time.monotonic()
    polls = 0
    while True:
        export = checked.client.exports.get(export_id)
        cut = export["cut"]
        if cut is not None:
            return export, cut["position"]
        if export["status"] not in ("pending", "running", "paused"):
            # Raises what it ended with.
            checked.client.exports.wait(export_id, stop=checked.stop)
            raise ReplicaError(f"The export {export_id} has no position.")
        if time.monotonic() - started > _MAX_POSITION_SECONDS:
            why = {"pending": "waits in the queue", "paused": "is paused"}.get(
                export["status"], "waits for the feed"
            )
            raise ReplicaError(f"The export {export_id} still {why}: try again later.")
        hold.renew()
        polls += 1
        pause(min(1.0, 0.1 * polls), checked.stop)


def _reached(client: Tandem, state: State) -> str:
    """Up to where the replica is for certain.

    The last event that it applied, and what the snapshot saw that it was loaded from: before that
    position it has been in no state that the source had.
    """
    lsn = "0/0"
    try:
        snapshot = client.exports.get(state.export_id or "")["snapshot"]
        if snapshot is not None:
            lsn = snapshot["lsn"]
    except NotFoundError:
        pass
    high, low = lsn.upper().split("/")
    seen = f"{high:0>8}{low:0>8}-0000000000"
    # An event at the position itself is not before it.
    return max(seen, f"{state.position}+" if state.position else "")


class _Hold:
    """Keeps events from being applied, in every process that has the store."""

    def __init__(self, change: Change) -> None:
        self.id = str(uuid.uuid4())
        self._change = change
        self._renewed = time.monotonic()

        def take(_: StoreTransaction, now: State | None) -> State:
            state = _require_loaded(now)
            if is_held(state):
                raise ReplicaError("Another check of this replica runs.")
            return replace(state, check=self._check())

        self.state = _require_loaded(change(take))

    def _check(self) -> Check:
        expiry = datetime.now(timezone.utc) + _HOLD
        return Check(self.id, expiry.isoformat().replace("+00:00", "Z"))

    def renew(self) -> None:
        """Every few seconds. Raises ReplicaError when the hold is over."""
        if time.monotonic() - self._renewed < _RENEW_SECONDS:
            return
        self._change(lambda _, now: replace(require_hold(now, self.id), check=self._check()))
        self._renewed = time.monotonic()

    def release(self) -> None:
        def work(_: StoreTransaction, now: State | None) -> State | None:
            is_ours = now is not None and now.check is not None and now.check.id == self.id
            return replace(now, check=None) if now is not None and is_ours else now

        self._change(work)


def require_hold(state: State | None, check_id: str) -> State:
    if state is None or state.loading is not None or not is_held_by(state, check_id):
        raise ReplicaError(
            "The check took too long, or a new load of the replica began: try again."
        )
    return state


def _digest_own(
    checked: Checked, hold: _Hold, resource: str, wanted: Sequence[int]
) -> _OwnDigests:
    """Digests the records of a resource, page by page, while events are held."""
    own = _OwnDigests()
    after: str | None = None
    page: Sequence[tuple[str, str]] = ()

    def read(transaction: StoreTransaction, now: State | None) -> None:
        nonlocal page
        page = transaction.scan(require_hold(now, hold.id).shown, resource, after, _SCAN_ROWS)

    while True:
        checked.change(read)
        for key, data in page:
            bucket, digest = bucket_of(key), digest_of(data)
            own.total.add(digest)
            own.buckets[bucket].add(digest)
            if bucket in wanted:
                own.listed[key] = digest
        if not page:
            return own
        after = page[-1][0]
        hold.renew()
