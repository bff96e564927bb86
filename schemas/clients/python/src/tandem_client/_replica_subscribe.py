from __future__ import annotations

import threading
from dataclasses import replace
from typing import cast

from ._errors import ConflictError, NotFoundError, ReplicaError
from ._generated import WebhookRequest
from ._replica_load import Change
from ._replica_state import State, StoreTransaction, Subscription
from ._retry import require_running
from .client import Tandem

#: Few requests, and the transactions of the source in their order.
_DEFAULTS: WebhookRequest = cast(
    WebhookRequest, {"batch": {"max_events": 500, "max_wait_ms": 200}, "order": "strict"}
)


def subscribe(
    client: Tandem, change: Change, webhook: WebhookRequest, stop: threading.Event | None
) -> bool:
    """Creates the endpoint that follows the export of the replica, and deletes a former one.

    Or continues with the endpoint that is there: False when it is gone or disabled, or has given up
    an event, so that changes may be lost.
    """
    require_running(stop)
    state = change(lambda _, now: now)
    if state is None or state.loading is not None:
        return True
    export_id, attempt, known = state.export_id, state.attempt, state.webhook
    if export_id is None or attempt is None:
        return True
    if known is not None and known.export_id == export_id:
        return _resubscribe(client, change, known, webhook)
    if known is not None:
        try:
            client.webhooks.delete(known.id)
        except NotFoundError:
            pass
    request: WebhookRequest = {
        **_DEFAULTS,
        **webhook,
        "events": ["*"],
        "start": {"after_export": export_id},
    }
    # A process that dies before it has stored the response finds the same endpoint again.
    created = client.webhooks.create(idempotency_key=f"{attempt}-webhook", **request)
    webhook_id = created["id"]
    # The response to a key comes without the secret, if it was another API key that asked first.
    secret = created.get("secret") or client.webhooks.rotate_secret(webhook_id).get("secret")
    if not secret:
        raise ReplicaError(f"The API shows no secret of {webhook_id}.")
    subscription = Subscription(
        id=webhook_id, url=webhook["url"], secrets=[secret], export_id=export_id
    )
    _store(change, subscription)
    return True


def _resubscribe(
    client: Tandem, change: Change, known: Subscription, webhook: WebhookRequest
) -> bool:
    try:
        found = client.webhooks.get(known.id)
    except NotFoundError:
        return False
    if found["status"] == "disabled":
        return False
    # An event that was given up is delivered no more by itself, and those behind it have been.
    if client.webhooks.dead_letters(known.id, limit=1).page()["data"]:
        return False
    # The event failed while this process did not run, and its retry may be hours away. All others
    # wait for it.
    if found["held_by"] is not None:
        try:
            client.events.redeliver(found["held_by"], known.id)
        except (NotFoundError, ConflictError):
            # It was delivered, or has expired, since.
            pass
    if known.url != webhook["url"]:
        client.webhooks.update(known.id, url=webhook["url"])
        _store(change, replace(known, url=webhook["url"]))
    return True


def _store(change: Change, subscription: Subscription) -> None:
    def work(_: StoreTransaction, now: State | None) -> State | None:
        return replace(now, webhook=subscription) if now else None

    change(work)
