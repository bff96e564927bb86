from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ._raw_json import elements_of, members_of, object_of
from ._replica_state import StoredRecord, StoreTransaction


@dataclass(frozen=True)
class RawEvent:
    """An event as its JSON texts, so that no digit of a record changes."""

    type: str
    #: None for events of the account.
    position: str | None
    timestamp: str
    resource: str
    key: str
    data: str
    unchanged: list[str]


def read_event(text: str) -> RawEvent:
    members = members_of(text)

    def value(name: str) -> Any:
        return json.loads(members.get(name, "null"))

    return RawEvent(
        type=value("type") or "",
        position=value("position"),
        timestamp=value("timestamp") or "",
        resource=value("resource") or "",
        key=members.get("key", "null"),
        data=members.get("data", "null"),
        unchanged=value("unchanged") or [],
    )


def events_of_body(text: str) -> list[RawEvent]:
    """The events of a webhook's body: one, or those of a batch."""
    members = members_of(text)
    if members.get("type") == '"batch"' and "events" in members:
        return [read_event(each) for each in elements_of(members["events"])]
    return [read_event(text)]


def read_page(text: str) -> tuple[list[RawEvent], bool, str]:
    """A page of ``GET /events``: its events, whether there are more, and where to continue."""
    members = members_of(text)
    events = [read_event(each) for each in elements_of(members.get("data", "[]"))]
    return events, members.get("has_more") == "true", json.loads(members["next_cursor"])


def apply_event(transaction: StoreTransaction, load: int, event: RawEvent) -> bool:
    """Applies one event of a record.

    Events of one record may repeat, and never overtake each other for the first time; so one that
    is not behind the record's own position came before. Returns False when the event leaves values
    as they are, and the record that has them is not there.
    """
    stored = transaction.read(load, event.resource, event.key)
    position = event.position or ""
    if stored is not None and stored.position is not None and stored.position >= position:
        return True
    data: str | None = event.data
    if event.type.endswith(".deleted"):
        data = None
    elif event.unchanged:
        data = _keep_unchanged(event, stored)
        if data is None:
            return False
    record = StoredRecord(data=data, position=position, at=event.timestamp)
    transaction.write(load, event.resource, event.key, record)
    return True


def _keep_unchanged(event: RawEvent, stored: StoredRecord | None) -> str | None:
    """The event's record with the values that it leaves, in the order of the record's columns."""
    if stored is None or stored.data is None:
        return None
    sent = members_of(event.data)
    kept = members_of(stored.data)
    if any(name not in kept for name in event.unchanged):
        return None
    merged: dict[str, str] = {}
    for name in [*kept, *(each for each in sent if each not in kept)]:
        value = kept[name] if name in event.unchanged else sent.get(name)
        if value is not None:
            merged[name] = value
    return object_of(merged)
