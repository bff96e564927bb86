"""Snapshots of the account's records as files."""

from __future__ import annotations

import http.client
import json
import os
import threading
from pathlib import Path
from typing import Callable, Iterator, Sequence, Unpack, cast

from ._api import Api
from ._errors import NotFoundError, TandemError
from ._files import DownloadProgress, download_files, path_of, read_file, verified
from ._generated import (
    Export,
    ExportChunk,
    ExportEstimate,
    ExportFile,
    ExportRequest,
    ListExportChunksQuery,
    ListExportsQuery,
)
from ._jobs import wait_for_job
from ._pages import Pages
from ._transport import CallOptions
from ._types import Manifest

_MANIFEST = "manifest.json"


class ExportJob:
    """An export that has just been created."""

    def __init__(self, exports: Exports, export: Export) -> None:
        self._exports = exports
        #: The export as it was when it was created.
        self.export = export
        self.id: str = export["id"]

    def wait(
        self,
        *,
        on_progress: Callable[[Export], object] | None = None,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> Export:
        """The export once it is completed. Raises JobError when it ends otherwise."""
        return self._exports.wait(self.id, on_progress=on_progress, timeout=timeout, stop=stop)


class Exports:
    def __init__(self, api: Api) -> None:
        self._api = api

    def create(
        self, *, idempotency_key: str | None = None, **request: Unpack[ExportRequest]
    ) -> ExportJob:
        """Starts an export. ``create(…).wait()`` is the completed one."""
        options = CallOptions(idempotency_key=idempotency_key)
        created = self._api.call("createExport", body=request, options=options)
        return ExportJob(self, created)

    def estimate(self, **request: Unpack[ExportRequest]) -> ExportEstimate:
        """Estimates rows, bytes and duration, and creates nothing."""
        body = {**request, "dry_run": True}
        return cast(ExportEstimate, self._api.call("createExport", body=body))

    def list(self, **query: Unpack[ListExportsQuery]) -> Pages[Export]:
        """Newest first."""
        return self._api.pages("listExports", query=query)

    def get(self, export_id: str) -> Export:
        return cast(Export, self._api.call("getExport", params={"id": export_id}))

    def wait(
        self,
        export_id: str,
        *,
        on_progress: Callable[[Export], object] | None = None,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> Export:
        """Waits until the export has ended. Raises JobError when it is not completed."""
        return wait_for_job(
            export_id,
            lambda: self.get(export_id),
            on_progress=on_progress,
            timeout=timeout,
            stop=stop,
        )

    def cancel(self, export_id: str) -> Export:
        """Stops an export. Safe to repeat."""
        return cast(Export, self._api.call("cancelExport", params={"id": export_id}))

    def pause(self, export_id: str) -> Export:
        """Stops reading; ``resume`` continues with what was read. Safe to repeat."""
        return cast(Export, self._api.call("pauseExport", params={"id": export_id}))

    def resume(self, export_id: str) -> Export:
        """Gives a paused export its place in the queue again. Safe to repeat."""
        return cast(Export, self._api.call("resumeExport", params={"id": export_id}))

    def delete(self, export_id: str) -> None:
        """Deletes the files of an export at once. Safe to repeat."""
        self._api.call("deleteExport", params={"id": export_id})

    def chunks(
        self, export_id: str, **query: Unpack[ListExportChunksQuery]
    ) -> Pages[ExportChunk]:
        """The slices of the tables that are read one by one, with their states."""
        return self._api.pages("listExportChunks", params={"id": export_id}, query=query)

    def manifest(self, export_id: str) -> Manifest:
        """What the export holds: files, checksums, and the columns of each resource."""
        return cast(Manifest, json.loads(self._manifest_text(export_id)))

    def file(self, export_id: str, name: str) -> http.client.HTTPResponse:
        """A file by its stable link, which redirects to storage. Read the response, and close it."""
        return self._api.open("getExportFile", params={"id": export_id, "name": name})

    def read(
        self,
        export_id: str,
        file: ExportFile,
        *,
        offset: int = 0,
        stop: threading.Event | None = None,
    ) -> Iterator[bytes]:
        """The bytes of a file from an offset, unchecked. Continues after breaks of the connection."""

        def renew() -> ExportFile:
            for each in self.get(export_id)["files"]:
                if each["name"] == file["name"]:
                    return each
            detail = f"{export_id} has no {file['name']}."
            raise NotFoundError(404, {"code": "not_found", "detail": detail})

        return read_file(self._api.transport, file, renew, offset=offset, stop=stop)

    def stream(
        self, export_id: str, name: str, *, stop: threading.Event | None = None
    ) -> Iterator[bytes]:
        """The bytes of a file. Raises ChecksumError at their end, if they do not fit the manifest."""
        files = self.get(export_id)["files"]
        for file in files:
            if file["name"] == name:
                return verified(file, self.read(export_id, file, stop=stop))
        names = ", ".join(file["name"] for file in files) or "none"
        raise TandemError(f"{export_id} has no file {name}. It has {names}.")

    def download(
        self,
        export_id: str,
        folder: str | os.PathLike[str],
        *,
        parallel: int = 4,
        on_progress: Callable[[DownloadProgress], object] | None = None,
        stop: threading.Event | None = None,
    ) -> Sequence[Path]:
        """Writes the files of a completed export into a folder, and ``manifest.json`` last.

        A ``.part`` that an earlier run left is continued, and a file that is there is kept, if its
        SHA-256 is that of the manifest.
        """
        export = self.get(export_id)
        if export["status"] != "completed":
            raise TandemError(f"The export {export_id} is {export['status']}, and has no files.")

        def read(file: ExportFile, offset: int, failed: threading.Event) -> Iterator[bytes]:
            return self.read(export_id, file, offset=offset, stop=failed)

        paths = download_files(
            export["files"], folder, read, parallel=parallel, on_progress=on_progress, stop=stop
        )
        manifest = path_of(Path(folder), _MANIFEST)
        manifest.write_text(self._manifest_text(export_id), encoding="utf-8")
        return paths

    def _manifest_text(self, export_id: str) -> str:
        return self._api.text("getExportFile", params={"id": export_id, "name": _MANIFEST})
