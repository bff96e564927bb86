from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Transaction(TypedDict):
    id: str
    index: int


class EventSource(TypedDict):
    bulk_job_id: str


class Event(TypedDict):
    """An event, as webhooks and ``events`` have it."""

    id: str
    #: ``invoice.created``, ``invoice.updated``, ``invoice.deleted``, ``feed.reset``, …
    type: str
    timestamp: str
    account_id: str
    #: Positions compare as texts. None for events of the account, which are not part of the feed.
    position: str | None
    resource: str
    key: dict[str, Any] | None
    #: The record, as an export has it.
    data: dict[str, Any]
    #: The former values of what an update changed.
    previous: NotRequired[dict[str, Any]]
    #: Columns of large values that did not change and were not sent again: keep yours.
    unchanged: NotRequired[list[str]]
    #: Columns of a created record whose values are lost.
    unknown: NotRequired[list[str]]
    transaction: NotRequired[Transaction]
    #: The bulk job that made the change.
    source: NotRequired[EventSource]


class EventPage(TypedDict):
    """A page of the feed."""

    #: Oldest first.
    data: list[Event]
    #: Whether more can be read at once. A page may be empty and have more.
    has_more: bool
    #: Where to continue: the next ``after``.
    next_cursor: str


class ManifestColumn(TypedDict):
    name: str
    #: The type in PostgreSQL.
    type: str
    #: The type in JSON.
    json: str
    key: bool


class ManifestSchema(TypedDict):
    columns: list[ManifestColumn]


class ManifestFile(TypedDict):
    name: str
    resource: str | None
    rows: int
    bytes: int
    sha256: str


class Manifest(TypedDict):
    """``manifest.json`` of an export."""

    export: str
    account: str | None
    format: str
    compression: str
    rows: int
    files: list[ManifestFile]
    #: The columns of each resource, in the order of the rows.
    schemas: dict[str, ManifestSchema]
