from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Callable, Mapping, Unpack, cast

from ._api import Api
from ._generated import (
    OPERATIONS,
    AccountOverview,
    AuditEntry,
    EventType,
    FeedStatus,
    Health as HealthStatus,
    ListAccountAuditEntriesQuery,
    ListEventTypesQuery,
    ListResourcesQuery,
    Readiness,
    Resource,
)
from ._pages import Pages
from ._transport import CallOptions, Transport
from .admin import Admin
from .bulk import Bulk
from .events import Events
from .exports import Exports
from .keys import Keys
from .webhooks import Webhooks

try:
    __version__ = version("tandem-client")
except PackageNotFoundError:
    __version__ = "development"


class Tandem:
    """A client of Tandem's API. It may be used by several threads.

    ``account_id`` is for the operator: the account that requests are for. ``max_wait`` is the
    longest Retry-After in seconds that is waited for, ``timeout`` how long an attempt may wait for
    the connection and for each piece of the response. ``loads`` reads JSON.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        account_id: str | None = None,
        max_retries: int = 5,
        max_wait: float = 60.0,
        timeout: float = 60.0,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        transport = Transport(
            base_url=base_url,
            key=key,
            max_retries=max_retries,
            max_wait=max_wait,
            timeout=timeout,
            user_agent=f"tandem-client-python/{__version__}",
        )
        api = Api(transport, account_id, loads)
        self._api = api
        self.exports = Exports(api)
        self.events = Events(api)
        self.webhooks = Webhooks(api)
        self.bulk = Bulk(api)
        self.account = Account(api)
        self.keys = Keys(api)
        self.resources = Resources(api)
        self.event_types = EventTypes(api)
        self.feed = Feed(api)
        self.admin = Admin(api)
        self.health = Health(api)

    def __repr__(self) -> str:
        return f"Tandem({self._api.transport.base_url!r})"

    def request(
        self,
        operation: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        options: CallOptions = CallOptions(),
    ) -> Any:
        """Any operation by its ID in the OpenAPI document, with retries and an idempotency key."""
        return self._api.call(operation, params=params, query=query, body=body, options=options)

    def request_text(
        self,
        operation: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        options: CallOptions = CallOptions(),
    ) -> str:
        """The same as the text of the response, which keeps all digits of its numbers."""
        return self._api.text(operation, params=params, query=query, body=body, options=options)


class Account:
    """The account of the key."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self) -> AccountOverview:
        """Name, limits, quota, and the jobs that run and wait."""
        return cast(AccountOverview, self._api.call("getAccount"))

    def audit(self, **query: Unpack[ListAccountAuditEntriesQuery]) -> Pages[AuditEntry]:
        """Who did what in the account, newest first."""
        return self._api.pages("listAccountAuditEntries", query=query)


class Resources:
    """What can be exported and followed."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self, **query: Unpack[ListResourcesQuery]) -> Pages[Resource]:
        return self._api.pages("listResources", query=query)

    def get(self, name: str) -> Resource:
        return cast(Resource, self._api.call("getResource", params={"name": name}))


class EventTypes:
    """The types of events that webhooks can ask for."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self, **query: Unpack[ListEventTypesQuery]) -> Pages[EventType]:
        return self._api.pages("listEventTypes", query=query)


class Feed:
    """Whether the feed delivers changes."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self) -> FeedStatus:
        return cast(FeedStatus, self._api.call("getFeed"))


class Health:
    """The probes of the server."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def live(self) -> HealthStatus:
        """The process is up."""
        return cast(HealthStatus, self._api.call("getHealth"))

    def ready(self) -> Readiness:
        """The process serves requests."""
        return cast(Readiness, self._api.call("getReadiness"))

    def open_api(self) -> dict[str, Any]:
        """The OpenAPI document of this server, with the names of its own resources."""
        return cast("dict[str, Any]", self._api.call("getOpenApi"))


__all__ = ["OPERATIONS", "Account", "EventTypes", "Feed", "Health", "Resources", "Tandem", "__version__"]
