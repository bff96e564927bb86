from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, cast

from ._errors import SignatureError
from ._types import Event


#: Tandem sends one, and two during a rotation.
_MAX_SIGNATURES = 10


@dataclass(frozen=True)
class Delivery:
    """A verified webhook request: one event, or a batch."""

    #: ``webhook-id``: the same for each attempt.
    id: str
    is_batch: bool
    #: In the order of the feed. Skip those whose own ``id`` you have applied.
    events: list[Event]
    #: The body as it was sent, with all digits of its numbers.
    text: str


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes | str,
    secrets: str | Iterable[str],
    *,
    tolerance_seconds: float = 300,
    now: Callable[[], float] = time.time,
    loads: Callable[[str], Any] = json.loads,
) -> Delivery:
    """Verifies a webhook request by its raw body: the bytes as they arrived, before any parsing.

    During a rotation the request has a signature for each secret; one that fits one of yours is
    enough. Raises SignatureError: respond 401.
    """
    webhook_id = _required(headers, "webhook-id")
    timestamp = _required(headers, "webhook-timestamp")
    signatures = _required(headers, "webhook-signature").split(" ")[:_MAX_SIGNATURES]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError("old_timestamp", "webhook-timestamp is not a number of seconds.")
    age = now() - int(timestamp)
    if abs(age) > tolerance_seconds:
        when = "ago" if age > 0 else "ahead"
        raise SignatureError(
            "old_timestamp",
            f"The request was signed {abs(age):.0f} seconds {when}; {tolerance_seconds} are"
            " accepted. Is the clock right?",
        )
    content = body.encode() if isinstance(body, str) else bytes(body)
    # A stranger's header may have half of a surrogate pair, which no encoding has.
    signed = f"{webhook_id}.{timestamp}.".encode(errors="replace") + content
    keys = [_key_of(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("verify_webhook needs a secret")
    expected = [
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        for key in keys
    ]
    if not any(
        hmac.compare_digest(each.encode(), signature.encode(errors="replace"))
        for each in expected
        for signature in signatures
    ):
        raise SignatureError(
            "wrong_signature",
            "No signature fits. Verify the raw body with the secret of this endpoint.",
        )
    try:
        text = content.decode()
        parsed = loads(text)
        is_batch = parsed.get("type") == "batch" and isinstance(parsed.get("events"), list)
    except (ValueError, AttributeError):
        raise SignatureError(
            "malformed_body", "The signature fits, but the body is not a JSON object."
        ) from None
    events = cast("list[Event]", parsed["events"] if is_batch else [parsed])
    return Delivery(id=webhook_id, is_batch=is_batch, events=events, text=text)


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    # Anyone could sign with an empty key.
    if not key:
        raise ValueError("a secret must be whsec_ and base64")
    return key


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        value = next((each for key, each in headers.items() if key.lower() == name), None)
    if not value:
        raise SignatureError("missing_header", f"There is no {name}.")
    return value
