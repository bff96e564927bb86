"""What the client raises. Every error of the package is a TandemError."""

from __future__ import annotations

import json
from typing import Any, Mapping


class TandemError(Exception):
    """Any error of this package."""


class ApiError(TandemError):
    """A response that is not 2xx. Its subclasses are named after the ``code`` of the problem."""

    def __init__(
        self, status: int, problem: Mapping[str, Any], retry_after: float | None = None
    ) -> None:
        super().__init__(_describe(status, problem))
        self.status = status
        #: What programs branch on: ``not_found``, ``invalid``, ``too_many``, …
        self.code: str = problem.get("code") or f"http_{status}"
        #: The fields of the request that are wrong: ``pointer`` and ``detail`` of each.
        self.errors: list[dict[str, str]] = list(problem.get("errors") or [])
        #: Names the request in the server's log. Give it to support.
        self.request_id: str | None = problem.get("request_id")
        #: Seconds.
        self.retry_after = retry_after
        #: An earlier attempt may have had its effect: its response was lost.
        self.may_be_done = False
        #: The whole document, with the members of its own kind, such as ``active_jobs``.
        self.problem = dict(problem)


def _describe(status: int, problem: Mapping[str, Any]) -> str:
    text = problem.get("detail") or problem.get("title") or f"The server returned {status}."
    faults = "; ".join(
        f"{fault.get('pointer') or 'the request'} {fault.get('detail')}"
        for fault in problem.get("errors") or []
    )
    request_id = problem.get("request_id")
    return " ".join(
        part for part in (text, faults, f"(request {request_id})" if request_id else "") if part
    )


class MalformedError(ApiError):
    """400 ``malformed``: the request cannot be read."""


class UnauthorizedError(ApiError):
    """401 ``unauthorized``: the key is missing, unknown or revoked."""


class ForbiddenError(ApiError):
    """403 ``forbidden``: the key lacks the scope, or a link has expired."""


class NotFoundError(ApiError):
    """404 ``not_found``: there is no such object in this account."""


class ConflictError(ApiError):
    """409 ``conflict``: the state of the object does not allow the request."""


class GoneError(ApiError):
    """410 ``gone``: files or events that are no longer retained."""


class TooLargeError(ApiError):
    """413 ``too_large``: the body is larger than the API accepts."""


class InvalidError(ApiError):
    """422 ``invalid``: ``errors`` names each field and what it must be."""


class TooManyError(ApiError):
    """429 ``too_many``: a limit of the account, still reached after all retries."""


class InternalError(ApiError):
    """500 ``internal``: a fault of the server."""


class UnavailableError(ApiError):
    """503 ``unavailable`` or ``feed_behind``: still so after all retries."""


_BY_CODE: dict[str, type[ApiError]] = {
    "malformed": MalformedError,
    "unauthorized": UnauthorizedError,
    "forbidden": ForbiddenError,
    "not_found": NotFoundError,
    "conflict": ConflictError,
    "gone": GoneError,
    "too_large": TooLargeError,
    "invalid": InvalidError,
    "too_many": TooManyError,
    "internal": InternalError,
    "unavailable": UnavailableError,
    "feed_behind": UnavailableError,
}


#: Members of a problem document that are texts.
_TEXTS = {"type", "title", "detail", "code", "request_id"}


def to_problem(content: bytes) -> dict[str, Any] | None:
    """A problem document; None for what is none.

    The errors of gateways have members of the same names, which hold something else: such a member
    is left out.
    """
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("code"), str):
        return None
    return {name: value for name, value in parsed.items() if _is_good(name, value)}


def _is_good(name: str, value: object) -> bool:
    if name == "errors":
        return isinstance(value, list) and all(map(_is_fault, value))
    return name not in _TEXTS or isinstance(value, str)


def _is_fault(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str) for name in ("pointer", "detail")
    )


def to_api_error(
    status: int, problem: Mapping[str, Any], retry_after: float | None
) -> ApiError:
    """The error of a response, by the problem's code. Codes of later releases are an ApiError."""
    return _BY_CODE.get(str(problem.get("code")), ApiError)(status, problem, retry_after)


class ConnectionFailed(TandemError):
    """No response: the network failed, timed out, or the server closed the connection."""


class ChecksumError(TandemError):
    """A downloaded file does not have the size or SHA-256 of the manifest."""


class SignatureError(TandemError):
    """A webhook request that must not be trusted: respond 401.

    ``reason`` is ``missing_header``, ``old_timestamp``, ``wrong_signature`` or ``malformed_body``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class JobError(TandemError):
    """An export or a bulk job ended without being completed, as ``job`` shows."""

    def __init__(self, message: str, job: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.job = job


class WaitTimeout(TandemError):
    """A job has not ended within the time that the caller waits."""


class Stopped(TandemError):
    """The caller's ``stop`` event was set."""


class ReplicaError(TandemError):
    """A replica cannot continue."""
