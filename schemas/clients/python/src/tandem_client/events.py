"""The feed of changes, by pulling."""

from __future__ import annotations

import threading
from typing import Iterator, Unpack, cast

from ._api import Api
from ._generated import EventDelivery, ListEventsQuery, Redelivery, SearchEventsQuery
from ._pages import Pages
from ._retry import pause
from ._transport import CallOptions
from ._types import Event, EventPage


class Events:
    def __init__(self, api: Api) -> None:
        self._api = api

    def pull(
        self, *, stop: threading.Event | None = None, **query: Unpack[ListEventsQuery]
    ) -> EventPage:
        """One page, after ``after_export``, or after a cursor, an event or a position (``after``)."""
        options = CallOptions(stop=stop)
        return cast(EventPage, self._api.call("listEvents", query=query, options=options))

    def list(self, **query: Unpack[ListEventsQuery]) -> Pages[Event]:
        """The feed up to now. To continue later, use ``pull`` or ``follow`` and keep the cursor."""
        return Pages(lambda cursor: self.pull(**_continued(query, cursor)))

    def follow(
        self,
        *,
        poll_seconds: float = 1.0,
        stop: threading.Event | None = None,
        **query: Unpack[ListEventsQuery],
    ) -> Iterator[EventPage]:
        """The feed without end, in pages that have events.

        Store what a page does together with its ``next_cursor``, and pass that as ``after`` the
        next time: then nothing is missed or done twice. Raises Stopped once ``stop`` is set.
        """
        cursor: str | None = None
        while True:
            page = self.pull(stop=stop, **_continued(query, cursor))
            if page["data"]:
                yield page
            cursor = page["next_cursor"]
            if not page["has_more"]:
                pause(poll_seconds, stop)

    def get(self, event_id: str) -> Event:
        return cast(Event, self._api.call("getEvent", params={"id": event_id}))

    def search(self, **query: Unpack[SearchEventsQuery]) -> Pages[Event]:
        """Events by type, record and time, newest first."""
        return self._api.pages("searchEvents", query=query)

    def deliveries(self, event_id: str) -> Pages[EventDelivery]:
        """Where an event is delivered, and how far that is, endpoint by endpoint."""
        return self._api.pages("listEventDeliveries", params={"id": event_id})

    def redeliver(self, event_id: str, webhook_id: str) -> Redelivery:
        """Delivers one event to an endpoint again."""
        body = {"webhook_id": webhook_id}
        return cast(
            Redelivery, self._api.call("redeliverEvent", params={"id": event_id}, body=body)
        )


def _continued(query: ListEventsQuery, cursor: str | None) -> ListEventsQuery:
    if cursor is None:
        return query
    continued: ListEventsQuery = {**query, "after": cursor}
    continued.pop("after_export", None)
    return continued
