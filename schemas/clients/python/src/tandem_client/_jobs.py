from __future__ import annotations

import threading
import time
from typing import Callable, TypeVar, cast

from ._errors import JobError, WaitTimeout
from ._retry import pause

Job = TypeVar("Job")

_FIRST_POLL = 0.1
_MAX_POLL = 5.0
#: A short job is noticed soon, and a long one is not asked about all the time.
_POLL_SHARE = 0.05


def wait_for_job(
    job_id: str,
    read: Callable[[], Job],
    *,
    on_progress: Callable[[Job], object] | None,
    timeout: float | None,
    stop: threading.Event | None,
) -> Job:
    """Reads a job until it is completed. Raises JobError when it ends otherwise."""
    started = time.monotonic()
    while True:
        job = read()
        if on_progress is not None:
            on_progress(job)
        facts = cast("dict[str, object]", job)
        status = facts["status"]
        if status == "completed":
            return job
        if status in ("failed", "cancelled", "expired"):
            error = cast("dict[str, str]", facts.get("error") or {})
            why = f": {error['message']}" if error.get("message") else "."
            raise JobError(f"The job {job_id} is {status}{why}", facts)
        waited = time.monotonic() - started
        if timeout is not None and waited >= timeout:
            raise WaitTimeout(f"The job {job_id} is still {status} after {timeout} seconds.")
        pause(min(_MAX_POLL, max(_FIRST_POLL, waited * _POLL_SHARE)), stop)
