from __future__ import annotations

import random
import threading
import time
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Callable

from ._errors import ApiError, ConnectionFailed, Stopped, TandemError

_FIRST_DELAY = 0.25
_MAX_DELAY = 15.0
#: Statuses that say that the server did nothing, or may do better soon.
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


def retry_delay(
    retry: int, retry_after: float | None, chance: Callable[[], float] = random.random
) -> float:
    """Seconds before a repeat: doubled each time, and between half and all of it by chance.

    A Retry-After is never undercut. ``retry`` is 1 for the first repeat.
    """
    backoff: float = min(_MAX_DELAY, _FIRST_DELAY * 2.0 ** (retry - 1)) * (0.5 + chance() / 2)
    return backoff if retry_after is None else retry_after + backoff / 4


def read_retry_after(header: str | None, now: float) -> float | None:
    """The Retry-After of a response, in seconds or as a date."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, date.timestamp() - now)


def is_retried(status: int, retry_after: float | None) -> bool:
    """Whether a response is worth a repeat.

    A conflict is, if it names a time: the first request with the same key is still running.
    """
    return status in _RETRIED or (status == 409 and retry_after is not None)


def is_passing(error: TandemError) -> bool:
    """Whether the same call may succeed later.

    There was no response, the server or a gateway in front of it failed, or a limit is reached.
    """
    if isinstance(error, ApiError):
        return error.status >= 500 or is_retried(error.status, error.retry_after)
    return isinstance(error, ConnectionFailed)


def pause(seconds: float, stop: threading.Event | None) -> None:
    """Waits. Raises Stopped as soon as the event is set."""
    if stop is None:
        time.sleep(seconds)
    elif stop.wait(seconds):
        raise Stopped("The stop event was set.")


def require_running(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Stopped("The stop event was set.")
