"""What only the operator may call."""

from __future__ import annotations

from typing import Unpack, cast

from ._api import Api
from ._generated import (
    Account,
    AuditEntry,
    CreateAccountRequest,
    CreateKeyRequest,
    CreatePortalLinkRequest,
    DeadLetterEndpoint,
    FailingEndpoint,
    Key,
    ListAccountsQuery,
    ListAuditEntriesQuery,
    ListDeadLetterEndpointsQuery,
    ListFailingEndpointsQuery,
    ListOperatorSessionsQuery,
    ListPortalSessionsQuery,
    NewKey,
    OperatorSession,
    PortalLink,
    PortalSession,
    RevokeKeyQuery,
    Source,
    Status,
    UpdateAccountRequest,
)
from ._pages import Pages


class AdminAccounts:
    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, **request: Unpack[CreateAccountRequest]) -> Account:
        return cast(Account, self._api.call("createAccount", body=request))

    def list(self, **query: Unpack[ListAccountsQuery]) -> Pages[Account]:
        return self._api.pages("listAccounts", query=query)

    def get(self, account_id: str) -> Account:
        return cast(Account, self._api.call("getAccountAsOperator", params={"id": account_id}))

    def update(self, account_id: str, **change: Unpack[UpdateAccountRequest]) -> Account:
        params = {"id": account_id}
        return cast(Account, self._api.call("updateAccount", params=params, body=change))


class AdminKeys:
    """The keys of an account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, account_id: str, **request: Unpack[CreateKeyRequest]) -> NewKey:
        """Creates a key. It is shown only now."""
        params = {"id": account_id}
        return cast(NewKey, self._api.call("createKey", params=params, body=request))

    def list(self, account_id: str) -> Pages[Key]:
        return self._api.pages("listKeys", params={"id": account_id})

    def revoke(self, account_id: str, key_id: str, **query: Unpack[RevokeKeyQuery]) -> None:
        """``with_made`` revokes the keys that it made too."""
        self._api.call("revokeKey", params={"id": account_id, "key_id": key_id}, query=query)


class AdminPortal:
    """Who may look at the dashboard of an account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create_link(self, account_id: str, **request: Unpack[CreatePortalLinkRequest]) -> PortalLink:
        """Makes a link that opens the dashboard once."""
        params = {"id": account_id}
        return cast(PortalLink, self._api.call("createPortalLink", params=params, body=request))

    def sessions(self, account_id: str, **query: Unpack[ListPortalSessionsQuery]) -> Pages[PortalSession]:
        """Sessions that have not ended."""
        return self._api.pages("listPortalSessions", params={"id": account_id}, query=query)

    def revoke(self, account_id: str, session_id: str) -> None:
        self._api.call("revokePortalSession", params={"id": account_id, "session_id": session_id})

    def revoke_all(self, account_id: str) -> None:
        """Ends all sessions of an account, and voids its links."""
        self._api.call("revokePortalSessions", params={"id": account_id})


class AdminSessions:
    """The operator's own sessions in the dashboard."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self, **query: Unpack[ListOperatorSessionsQuery]) -> Pages[OperatorSession]:
        """Sessions that have not ended."""
        return self._api.pages("listOperatorSessions", query=query)

    def revoke(self, session_id: str) -> None:
        self._api.call("revokeOperatorSession", params={"session_id": session_id})

    def revoke_all(self) -> None:
        self._api.call("revokeOperatorSessions")


class Admin:
    def __init__(self, api: Api) -> None:
        self.accounts = AdminAccounts(api)
        self.keys = AdminKeys(api)
        self.portal = AdminPortal(api)
        self.sessions = AdminSessions(api)
        self._api = api

    def audit(self, **query: Unpack[ListAuditEntriesQuery]) -> Pages[AuditEntry]:
        """Who did what, newest first."""
        return self._api.pages("listAuditEntries", query=query)

    def status(self) -> Status:
        """Processes, queues and lags, and what holds work up."""
        return cast(Status, self._api.call("getStatus"))

    def dead_letters(self, **query: Unpack[ListDeadLetterEndpointsQuery]) -> Pages[DeadLetterEndpoint]:
        """Endpoints with events that were given up, the newest endpoints first."""
        return self._api.pages("listDeadLetterEndpoints", query=query)

    def failing_endpoints(self, **query: Unpack[ListFailingEndpointsQuery]) -> Pages[FailingEndpoint]:
        """Endpoints that fail or were disabled, those that have failed longest first."""
        return self._api.pages("listFailingEndpoints", query=query)

    def source(self) -> Source:
        """Lag of the feed, and the WAL that the source retains for it."""
        return cast(Source, self._api.call("getSource"))

    def metrics(self) -> str:
        """Metrics of the API process in the text format of Prometheus."""
        return self._api.text("getMetrics")
