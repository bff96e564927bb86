from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import IO, Any, Iterable, Mapping, Union

from ._errors import ConnectionFailed, NotFoundError, TandemError, to_api_error, to_problem
from ._retry import is_retried, pause, read_retry_after, require_running, retry_delay

Body = Union[bytes, str, IO[bytes], Iterable[bytes]]

#: What the standard library raises when a connection fails or breaks off.
NETWORK_ERRORS = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    #: Whether a repeat does no harm after a response was lost.
    is_repeatable: bool = True
    #: Only where a redirect leads to a file. Elsewhere it leads past the API: a POST would be
    #: followed by a GET, whose response is not that of the POST.
    follows_redirects: bool = False


@dataclass(frozen=True)
class CallOptions:
    #: Seconds that an attempt may wait for the connection, and for each piece of the response.
    timeout: float | None = None
    #: By default the client makes one, and keeps it over all retries.
    idempotency_key: str | None = None
    #: Ends retries and waiting.
    stop: threading.Event | None = None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects. The key stays with the host that it is for."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and _origin(newurl) != _origin(req.full_url):
            new.remove_header("Authorization")
        return new


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is the response, which is an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


class Transport:
    """Sends requests, repeats them, and turns problems into errors. The key appears in no error."""

    def __init__(
        self,
        *,
        base_url: str,
        key: str,
        max_retries: int,
        max_wait: float,
        timeout: float,
        user_agent: str,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise TandemError("The base URL must be an absolute http or https URL.")
        # The standard library would quote a header that it refuses, with the key in it.
        if not key or not all("!" <= sign <= "~" for sign in key):
            raise TandemError("The key must be printable ASCII without spaces, such as tk_….")
        self.base_url = base_url.rstrip("/")
        self._key = key
        self._max_retries = max_retries
        self._max_wait = max_wait
        self._timeout = timeout
        self._user_agent = user_agent
        self._opener = urllib.request.build_opener(_NoRedirects())
        self._file_opener = urllib.request.build_opener(_Redirects())

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def authorized(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request to the API."""
        return {**headers, "Authorization": f"Bearer {self._key}", "User-Agent": self._user_agent}

    def text(self, request: Request, options: CallOptions = CallOptions()) -> str:
        """The text of the response. A body that breaks off repeats the request."""
        retry = 0
        may_be_done = False
        while True:
            try:
                response = self.open(request, options)
            except NotFoundError as error:
                # An earlier attempt deleted it, and its response was lost.
                if request.method == "DELETE" and (may_be_done or error.may_be_done):
                    return ""
                raise
            try:
                with response:
                    content = response.read()
                return content.decode()
            except UnicodeDecodeError:
                raise TandemError(
                    f"{self.base_url} did not respond with UTF-8. Is it the API?"
                ) from None
            except NETWORK_ERRORS as error:
                may_be_done = True
                retry += 1
                if retry > self._max_retries or not request.is_repeatable:
                    raise self._failed(request, error) from None
            pause(retry_delay(retry, None), options.stop)

    def open(
        self, request: Request, options: CallOptions = CallOptions()
    ) -> http.client.HTTPResponse:
        """The response, whose body is still to be read. Close it."""
        is_stream = request.body is not None and not isinstance(request.body, (bytes, str))
        # A stream can be sent once.
        max_retries = 0 if is_stream else self._max_retries
        retry = 0
        may_be_done = False
        while True:
            require_running(options.stop)
            retry += 1
            is_last = retry > max_retries
            try:
                return self._send(request, options)
            except urllib.error.HTTPError as error:
                status = error.code
                retry_after = read_retry_after(error.headers.get("Retry-After"), time.time())
                problem = _read_problem(error)
            except NETWORK_ERRORS as error:
                if is_last or not request.is_repeatable:
                    raise self._failed(request, error) from None
                may_be_done = True
                pause(retry_delay(retry, None), options.stop)
                continue
            is_worth_it = (
                is_retried(status, retry_after)
                and (request.is_repeatable or status in (429, 503))
                and (retry_after or 0) <= self._max_wait
            )
            if is_last or not is_worth_it:
                failure = to_api_error(status, problem, retry_after)
                failure.may_be_done = may_be_done
                raise failure
            may_be_done = may_be_done or (status >= 500 and status != 503)
            pause(retry_delay(retry, retry_after), options.stop)

    def _send(self, request: Request, options: CallOptions) -> http.client.HTTPResponse:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        message = urllib.request.Request(
            request.url, data=body, headers=dict(request.headers), method=request.method
        )
        opener = self._file_opener if request.follows_redirects else self._opener
        response: http.client.HTTPResponse = opener.open(
            message, timeout=options.timeout or self._timeout
        )
        return response

    def _failed(self, request: Request, error: Exception) -> ConnectionFailed:
        reason = getattr(error, "reason", None) or error
        # Query and user of a URL may be secrets: a presigned URL is one.
        parts = urllib.parse.urlsplit(request.url)
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        text = f"No response from {place}: {reason}"
        return ConnectionFailed(text.replace(self._key, "[key]"))


# Bytes of a problem document that are read: it names a few dozen faults at most.
_MAX_PROBLEM_BYTES = 262_144


def _read_problem(error: urllib.error.HTTPError) -> dict[str, Any]:
    """The problem document. A proxy in between may respond with anything, or without an end."""
    request_id = error.headers.get("X-Request-Id")
    known = {} if request_id is None else {"request_id": request_id}
    try:
        with error:
            problem = to_problem(error.read(_MAX_PROBLEM_BYTES))
    except NETWORK_ERRORS:
        problem = None
    if 300 <= error.code < 400:
        return {**known, "detail": _describe_redirect(error.headers.get("Location"))}
    if problem is not None:
        return {**known, **problem}
    return {
        **known,
        "detail": f"The server returned {error.code} without a problem document.",
    }


def _describe_redirect(location: str | None) -> str:
    # The query of an address may be a secret.
    target = urllib.parse.urlsplit(location or "")._replace(query="", fragment="").geturl()
    return (
        f"The server redirects to {target or 'another address'}."
        " Use the address of the API itself as the base URL."
    )
