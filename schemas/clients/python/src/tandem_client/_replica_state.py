"""What a replica knows about itself. It is written in the transactions that change the records.

The state is a JSON object with the members that the TypeScript client writes too.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Mapping, Protocol, Sequence

from ._types import ManifestColumn


@dataclass(frozen=True)
class Loading:
    """A load that has begun."""

    load: int
    #: Idempotency key of its export: a process that dies finds the same export again.
    attempt: str
    reason: str
    export_id: str | None = None
    #: Rows of each file that are stored.
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Subscription:
    id: str
    url: str
    #: The newest first.
    secrets: Sequence[str]
    #: The export that it follows.
    export_id: str


@dataclass(frozen=True)
class Check:
    """A check that compares the records: until it ends or its time is over, no event is applied."""

    id: str
    #: RFC 3339, UTC.
    expires_at: str


@dataclass(frozen=True)
class State:
    resources: Sequence[str]
    #: The load that readers see. 0: none yet.
    shown: int = 0
    #: The export that it began with, and the key of the requests that belong to it.
    export_id: str | None = None
    attempt: str | None = None
    #: Where pulling continues.
    cursor: str | None = None
    #: The greatest position of the events that were applied.
    position: str = ""
    check: Check | None = None
    loading: Loading | None = None
    #: Resources whose changes the source cannot send, with the reason.
    stalled: Mapping[str, str] = field(default_factory=dict)
    webhook: Subscription | None = None
    #: The day on which deleted records were last removed.
    pruned_on: str = ""


def begin_load(state: State | None, resources: Sequence[str], reason: str) -> State:
    """The state of a replica that is to be loaded: as it was, with a new load begun."""
    shown = state.shown if state else 0
    last = max(shown, state.loading.load if state and state.loading else 0)
    loading = Loading(load=last + 1, attempt=str(uuid.uuid4()), reason=reason)
    begun = state or State(resources=resources)
    return replace(begun, resources=resources, loading=loading, stalled={})


def end_load(state: State, loading: Loading) -> State:
    """The state after the load's last row. What belongs to the former export ends with it."""
    return State(
        resources=state.resources,
        shown=loading.load,
        export_id=loading.export_id,
        attempt=loading.attempt,
        webhook=state.webhook,
        pruned_on=state.pruned_on,
    )


def is_held(state: State, besides: str | None = None) -> bool:
    """Whether events must wait for a check, other than the one with this ID."""
    check = state.check
    if check is None or check.id == besides:
        return False
    return datetime.fromisoformat(check.expires_at) > datetime.now(timezone.utc)


def is_held_by(state: State, check_id: str) -> bool:
    """Whether it is this check that events wait for."""
    return is_held(state) and not is_held(state, check_id)


#: After these the source sends no changes until ``resource_resumed``: an export is of no use yet.
_STALLS = {"row_unencodable", "table_unfit"}


def after_reset(state: State, reason: str, resources: Sequence[str]) -> State:
    """The state after a ``feed.reset`` of some of the replica's resources."""
    if reason not in _STALLS:
        return begin_load(state, state.resources, reason)
    return replace(state, stalled={**state.stalled, **{name: reason for name in resources}})


def write_state(state: State) -> str:
    loading, webhook = state.loading, state.webhook
    members: dict[str, Any] = {
        "version": 1,
        "resources": list(state.resources),
        "shown": state.shown,
        "exportId": state.export_id,
        "attempt": state.attempt,
        "cursor": state.cursor,
        "position": state.position or None,
        "check": state.check
        and {"id": state.check.id, "expiresAt": state.check.expires_at},
        "stalled": dict(state.stalled),
        "prunedOn": state.pruned_on or None,
        "loading": loading
        and {
            "load": loading.load,
            "attempt": loading.attempt,
            "reason": loading.reason,
            "exportId": loading.export_id,
            "rows": dict(loading.rows),
        },
        "webhook": webhook
        and {
            "id": webhook.id,
            "url": webhook.url,
            "secrets": list(webhook.secrets),
            "exportId": webhook.export_id,
        },
    }
    return json.dumps({name: value for name, value in members.items() if value is not None})


def read_state(text: str) -> State:
    members = json.loads(text)
    if members.get("version") != 1:
        raise ValueError("The replica was written by a newer release of the client.")
    loading, webhook = members.get("loading"), members.get("webhook")
    check = members.get("check")
    return State(
        resources=members["resources"],
        shown=members["shown"],
        export_id=members.get("exportId"),
        attempt=members.get("attempt"),
        cursor=members.get("cursor"),
        position=members.get("position") or "",
        check=check and Check(check["id"], check["expiresAt"]),
        stalled=members.get("stalled") or {},
        pruned_on=members.get("prunedOn") or "",
        loading=loading
        and Loading(
            load=loading["load"],
            attempt=loading["attempt"],
            reason=loading["reason"],
            export_id=loading.get("exportId"),
            rows=loading["rows"],
        ),
        webhook=webhook
        and Subscription(
            id=webhook["id"],
            url=webhook["url"],
            secrets=webhook["secrets"],
            export_id=webhook["exportId"],
        ),
    )


@dataclass(frozen=True)
class StoredRecord:
    """A record of the replica.

    A deleted one stays for a while, so that a late event cannot bring it back.
    """

    #: The record as JSON, as an export has it; None once it is deleted.
    data: str | None
    #: The position of the event that it comes from; None for one that comes from the export.
    position: str | None = None
    #: The time of that event.
    at: str | None = None


class StoreTransaction(Protocol):
    """One transaction of a store.

    Records belong to a *load*, a number: a new export is loaded beside the old records, and takes
    their place in the transaction that writes the state which names it.
    """

    def read_state(self) -> str | None:
        """The state that was written last; None at first."""

    def write_state(self, state: str) -> None: ...

    def read(self, load: int, resource: str, key: str) -> StoredRecord | None:
        """``key``: the key columns as a JSON object."""

    def scan(
        self, load: int, resource: str, after: str | None, limit: int
    ) -> Sequence[tuple[str, str]]:
        """Key and data of records that are not deleted, in an order of keys that does not change.

        ``after``: the key of the last record that was returned; None at first.
        """

    def write(self, load: int, resource: str, key: str, record: StoredRecord) -> None:
        """Inserts a record, or replaces it."""

    def show(self, load: int, columns: Mapping[str, Sequence[ManifestColumn]]) -> None:
        """The load is complete: readers see it after this transaction, and no other."""

    def drop_others(self, loads: Sequence[int], limit: int) -> bool:
        """Removes up to ``limit`` records of other loads. Returns whether there may be more."""

    def drop_deleted(self, load: int, before: str) -> None:
        """Removes the deleted records of events before a time."""
