"""Operations on many records: at once, or as jobs."""

from __future__ import annotations

import http.client
import threading
from typing import Callable, Unpack, cast

from ._api import Api
from ._generated import (
    BulkAccepted,
    BulkDone,
    BulkDryRun,
    BulkFile,
    BulkItemResult,
    BulkOperation,
    BulkRequest,
    ListBulkOperationsQuery,
    ListBulkResultsQuery,
)
from ._jobs import wait_for_job
from ._pages import Pages
from ._transport import Body, CallOptions


class BulkJob:
    """A bulk job that has just been created."""

    def __init__(self, bulk: Bulk, accepted: BulkAccepted) -> None:
        self._bulk = bulk
        self.accepted = accepted
        self.id: str = accepted["job_id"]

    def wait(
        self,
        *,
        on_progress: Callable[[BulkOperation], object] | None = None,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> BulkOperation:
        """The job once it is completed. Raises JobError when it ends otherwise."""
        return self._bulk.wait(self.id, on_progress=on_progress, timeout=timeout, stop=stop)


class Bulk:
    def __init__(self, api: Api) -> None:
        self._api = api

    def create(
        self, *, idempotency_key: str | None = None, **request: Unpack[BulkRequest]
    ) -> BulkJob:
        """Creates a bulk job. ``create(…).wait()`` is the completed one."""
        options = CallOptions(idempotency_key=idempotency_key)
        body = {**request, "async": True}
        return BulkJob(self, self._api.call("createBulkOperation", body=body, options=options))

    def run(
        self, *, idempotency_key: str | None = None, **request: Unpack[BulkRequest]
    ) -> BulkDone:
        """Runs the operation now, on as many records as the catalog allows."""
        options = CallOptions(idempotency_key=idempotency_key)
        body = {**request, "async": False}
        return cast(BulkDone, self._api.call("createBulkOperation", body=body, options=options))

    def estimate(self, **request: Unpack[BulkRequest]) -> BulkDryRun:
        """Counts the items, returns a sample, and changes nothing."""
        body = {**request, "dry_run": True}
        return cast(BulkDryRun, self._api.call("createBulkOperation", body=body))

    def upload(
        self, ids: Body, *, resource: str | None = None, idempotency_key: str | None = None
    ) -> BulkFile:
        """Uploads item IDs, one a line, for a job's ``file_id``.

        A stream cannot be repeated after a failure.
        """
        options = CallOptions(idempotency_key=idempotency_key)
        query = {"resource": resource}
        return cast(
            BulkFile, self._api.call("createBulkFile", query=query, body=ids, options=options)
        )

    def list(self, **query: Unpack[ListBulkOperationsQuery]) -> Pages[BulkOperation]:
        """Newest first."""
        return self._api.pages("listBulkOperations", query=query)

    def get(self, job_id: str) -> BulkOperation:
        return cast(BulkOperation, self._api.call("getBulkOperation", params={"id": job_id}))

    def wait(
        self,
        job_id: str,
        *,
        on_progress: Callable[[BulkOperation], object] | None = None,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> BulkOperation:
        """Waits until the job has ended, a paused one too. Raises JobError if it is not completed."""
        return wait_for_job(
            job_id,
            lambda: self.get(job_id),
            on_progress=on_progress,
            timeout=timeout,
            stop=stop,
        )

    def results(
        self, job_id: str, **query: Unpack[ListBulkResultsQuery]
    ) -> Pages[BulkItemResult]:
        """The results of the items, in the order of the job."""
        return self._api.pages("listBulkResults", params={"id": job_id}, query=query)

    def results_file(
        self, job_id: str, **query: Unpack[ListBulkResultsQuery]
    ) -> http.client.HTTPResponse:
        """All results of an ended job as one file, with ``format``. Read the response, and close it."""
        return self._api.open("listBulkResults", params={"id": job_id}, query=query)

    def cancel(self, job_id: str) -> BulkOperation:
        """Stops the job. Finished items stay changed. Safe to repeat."""
        return cast(BulkOperation, self._api.call("cancelBulkOperation", params={"id": job_id}))

    def pause(self, job_id: str) -> BulkOperation:
        """Safe to repeat."""
        return cast(BulkOperation, self._api.call("pauseBulkOperation", params={"id": job_id}))

    def resume(self, job_id: str) -> BulkOperation:
        """Safe to repeat."""
        return cast(BulkOperation, self._api.call("resumeBulkOperation", params={"id": job_id}))
