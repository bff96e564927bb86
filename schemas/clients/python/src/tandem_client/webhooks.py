"""Endpoints that get the feed."""

from __future__ import annotations

from typing import Iterable, Mapping, Unpack, cast

from ._api import Api
from ._generated import (
    Attempt,
    AttemptDetails,
    DeadLetter,
    FailedReplay,
    GetWebhookStatsQuery,
    ListDeadLettersQuery,
    ListWebhookAttemptsQuery,
    ListWebhooksQuery,
    Webhook,
    WebhookChange,
    WebhookRequest,
    WebhookStats,
    WebhookTest,
    WebhookWithSecret,
)
from ._pages import Pages
from ._transport import CallOptions
from ._verify import Delivery, verify_webhook


class Webhooks:
    def __init__(self, api: Api) -> None:
        self._api = api

    def create(
        self, *, idempotency_key: str | None = None, **request: Unpack[WebhookRequest]
    ) -> WebhookWithSecret:
        """Creates an endpoint. Keep its ``secret``: it is shown only now."""
        options = CallOptions(idempotency_key=idempotency_key)
        return cast(
            WebhookWithSecret, self._api.call("createWebhook", body=request, options=options)
        )

    def list(self, **query: Unpack[ListWebhooksQuery]) -> Pages[Webhook]:
        """Newest first."""
        return self._api.pages("listWebhooks", query=query)

    def get(self, webhook_id: str) -> Webhook:
        return cast(Webhook, self._api.call("getWebhook", params={"id": webhook_id}))

    def update(self, webhook_id: str, **change: Unpack[WebhookChange]) -> Webhook:
        """Changes the fields that are given."""
        params = {"id": webhook_id}
        return cast(Webhook, self._api.call("updateWebhook", params=params, body=change))

    def delete(self, webhook_id: str) -> None:
        self._api.call("deleteWebhook", params={"id": webhook_id})

    def pause(self, webhook_id: str) -> Webhook:
        """Stops deliveries. Events are retained."""
        return cast(Webhook, self._api.call("pauseWebhook", params={"id": webhook_id}))

    def resume(self, webhook_id: str) -> Webhook:
        """Continues deliveries where they stopped."""
        return cast(Webhook, self._api.call("resumeWebhook", params={"id": webhook_id}))

    def rotate_secret(self, webhook_id: str) -> WebhookWithSecret:
        """Makes a new secret. The old one also signs for a day, so verify with both."""
        params = {"id": webhook_id}
        return cast(WebhookWithSecret, self._api.call("rotateWebhookSecret", params=params))

    def test(self, webhook_id: str) -> WebhookTest:
        """Sends one signed ``webhook.test`` now, and returns what the endpoint responded."""
        return cast(WebhookTest, self._api.call("testWebhook", params={"id": webhook_id}))

    def replay(
        self, webhook_id: str, *, since: str | None = None, after_export: str | None = None
    ) -> Webhook:
        """Delivers the events after a place again: give one of the two."""
        given = {"since": since, "after_export": after_export}
        body = {name: value for name, value in given.items() if value is not None}
        params = {"id": webhook_id}
        return cast(Webhook, self._api.call("replayWebhook", params=params, body=body))

    def replay_failed(
        self, webhook_id: str, *, from_: str, to: str | None = None
    ) -> FailedReplay:
        """Delivers again what failed within a time, and only that."""
        body = {"only": "failed", "from": from_}
        if to is not None:
            body["to"] = to
        params = {"id": webhook_id}
        return cast(FailedReplay, self._api.call("replayWebhook", params=params, body=body))

    def attempts(
        self, webhook_id: str, **query: Unpack[ListWebhookAttemptsQuery]
    ) -> Pages[Attempt]:
        """The latest delivery attempts, newest first."""
        return self._api.pages("listWebhookAttempts", params={"id": webhook_id}, query=query)

    def attempt(self, webhook_id: str, attempt_id: str) -> AttemptDetails:
        """One attempt, with the request's headers and body and the response's."""
        params = {"id": webhook_id, "attempt_id": attempt_id}
        return cast(AttemptDetails, self._api.call("getWebhookAttempt", params=params))

    def stats(self, webhook_id: str, **query: Unpack[GetWebhookStatsQuery]) -> WebhookStats:
        """Deliveries, failures and durations over time, and how far the endpoint is behind."""
        params = {"id": webhook_id}
        return cast(WebhookStats, self._api.call("getWebhookStats", params=params, query=query))

    def dead_letters(
        self, webhook_id: str, **query: Unpack[ListDeadLettersQuery]
    ) -> Pages[DeadLetter]:
        """Deliveries that were given up. ``events.redeliver`` sends one again."""
        return self._api.pages("listDeadLetters", params={"id": webhook_id}, query=query)

    def verify(
        self,
        headers: Mapping[str, str],
        body: bytes | str,
        secrets: str | Iterable[str],
        *,
        tolerance_seconds: float = 300,
    ) -> Delivery:
        """Verifies a request to your endpoint by its raw body. Raises SignatureError: respond 401."""
        return verify_webhook(
            headers,
            body,
            secrets,
            tolerance_seconds=tolerance_seconds,
            loads=self._api.loads,
        )
