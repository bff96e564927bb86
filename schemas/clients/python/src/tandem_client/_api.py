from __future__ import annotations

import json
import uuid
from typing import Any, Callable, Mapping
from urllib.parse import quote, urlencode

import http.client

from ._errors import TandemError
from ._generated import OPERATIONS
from ._pages import Pages
from ._transport import Body, CallOptions, Request, Transport


class Api:
    """Calls operations by their IDs in the OpenAPI document."""

    def __init__(
        self, transport: Transport, account_id: str | None, loads: Callable[[str], Any]
    ) -> None:
        self.transport = transport
        self.loads = loads
        self._account_id = account_id

    def call(
        self,
        operation: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        options: CallOptions = CallOptions(),
    ) -> Any:
        """The body of the response; None for an empty one."""
        text = self.text(operation, params=params, query=query, body=body, options=options)
        if not text:
            return None
        try:
            return self.loads(text)
        except ValueError as error:
            # Something in between has responded in place of the API.
            raise TandemError(
                f"{self.transport.base_url} did not respond with JSON. Is it the API?"
            ) from error

    def text(
        self,
        operation: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        options: CallOptions = CallOptions(),
    ) -> str:
        return self.transport.text(self._request(operation, params, query, body, options), options)

    def open(
        self,
        operation: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        options: CallOptions = CallOptions(),
    ) -> http.client.HTTPResponse:
        """The response, whose body is still to be read. Close it."""
        return self.transport.open(self._request(operation, params, query, None, options), options)

    def pages(
        self,
        operation: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Pages[Any]:
        def read(cursor: str | None) -> Mapping[str, Any]:
            page: Mapping[str, Any] = self.call(
                operation, params=params, query={**(query or {}), "cursor": cursor}
            )
            return page

        return Pages(read)

    def _request(
        self,
        name: str,
        params: Mapping[str, str] | None,
        query: Mapping[str, Any] | None,
        body: Any,
        options: CallOptions,
    ) -> Request:
        operation = OPERATIONS[name]
        path = operation.path
        for param, value in (params or {}).items():
            path = path.replace("{" + param + "}", quote(value, safe=""))
        headers: dict[str, str] = {}
        if operation.creates:
            headers["Idempotency-Key"] = options.idempotency_key or str(uuid.uuid4())
        content: Body | None = None
        if operation.body_type is not None and body is not None:
            headers["Content-Type"] = operation.body_type
            content = json.dumps(body) if operation.body_type == "application/json" else body
        account = {"account_id": self._account_id} if operation.takes_account else {}
        return Request(
            method=operation.method,
            url=self.transport.base_url + path + _query_text({**account, **(query or {})}),
            headers=self.transport.authorized(headers),
            body=content,
            # A second test of an endpoint would be refused, or sent twice.
            is_repeatable=name != "testWebhook",
            follows_redirects=name == "getExportFile",
        )


def _query_text(query: Mapping[str, Any]) -> str:
    # A keyword cannot name an argument: `from_` is `from`.
    given = {
        name.rstrip("_"): str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return "?" + urlencode(given) if given else ""
