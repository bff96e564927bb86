from __future__ import annotations

import threading
from typing import Callable, Mapping, Sequence

from ._errors import GoneError, InvalidError, NotFoundError, TandemError
from ._replica_events import RawEvent, read_page
from ._replica_state import State
from ._transport import CallOptions
from .client import Tandem

PAGE_EVENTS = 1_000


def read_events(
    client: Tandem, after: Mapping[str, str | None], limit: int, stop: threading.Event | None
) -> tuple[list[RawEvent], bool, str]:
    """A page of the feed: its events, whether there are more, and the cursor behind it."""
    query = {**after, "limit": limit}
    text = client.request_text("listEvents", query=query, options=CallOptions(stop=stop))
    try:
        return read_page(text)
    except (ValueError, KeyError) as error:
        raise TandemError(
            "The response to GET /events is no page of events. Is it the API's?"
        ) from error


def is_too_old(error: TandemError) -> bool:
    """Whether the feed no longer reaches back to the replica."""
    if isinstance(error, InvalidError):
        return any(fault["pointer"].endswith("after_export") for fault in error.errors)
    return isinstance(error, (GoneError, NotFoundError))


def pull_to(
    client: Tandem,
    state: State,
    position: str,
    apply: Callable[[Sequence[RawEvent], str], None],
    stop: threading.Event | None,
) -> None:
    """Applies the events before a position, and none from there on.

    Those of an endpoint come again later, and change nothing.
    """
    after = _start_of(client, state)
    limit = PAGE_EVENTS
    while True:
        try:
            events, has_more, cursor = read_events(client, after, limit, stop)
        except TandemError as error:
            # The export is older than the events that are kept, and so is its seal.
            if not is_too_old(error) or len(after) < 2:
                raise
            after = {"after": after["after"]}
            continue
        before = [event for event in events if (event.position or "") < position]
        if len(before) == len(events):
            apply(events, cursor)
            if not has_more:
                return
            after = {"after": cursor}
            limit = PAGE_EVENTS
        elif not before:
            return
        else:
            # The cursor of a page is behind all of its events: read one that ends at the position.
            limit = len(before)


def _start_of(client: Tandem, state: State) -> dict[str, str | None]:
    """Behind what an endpoint has delivered in strict order, nothing is missing."""
    webhook = state.webhook
    if webhook is not None and state.position and webhook.export_id == state.export_id:
        if client.webhooks.get(webhook.id)["order"] == "strict":
            return {"after": state.position, "after_export": state.export_id}
    return {"after": state.cursor} if state.cursor else {"after_export": state.export_id}
