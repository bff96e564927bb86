from __future__ import annotations

import hashlib
import http.client
import os
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator

from ._errors import ApiError, ChecksumError, ConnectionFailed, Stopped, TandemError
from ._generated import ExportFile
from ._retry import pause, require_running, retry_delay
from ._transport import NETWORK_ERRORS, CallOptions, Request, Transport

_CHUNK_BYTES = 256 * 1024
#: Reconnections without a single byte in between.
_MAX_FAILURES = 8


def read_file(
    transport: Transport,
    file: ExportFile,
    renew: Callable[[], ExportFile],
    *,
    offset: int = 0,
    stop: threading.Event | None = None,
) -> Iterator[bytes]:
    """The bytes of a file from an offset, unchecked.

    A connection that breaks off is continued from where it ended, and a link that has expired is
    replaced by a new one.
    """
    url = file["url"]
    at = offset
    failures = 0
    is_renewed = False
    while at < file["bytes"]:
        before = at
        try:
            for chunk in _read_from(transport, url, at, stop):
                at += len(chunk)
                if at > file["bytes"]:
                    raise ChecksumError(f"{file['name']} has more than {file['bytes']} bytes.")
                yield chunk
            if at < file["bytes"]:
                raise ConnectionFailed(
                    f"{file['name']} ended after {at} of {file['bytes']} bytes."
                )
        except (ApiError, ConnectionFailed) as error:
            if at > before:
                failures, is_renewed = 0, False
            if _is_expired(error) and not is_renewed:
                is_renewed = True
                url = renew()["url"]
                continue
            failures += 1
            if not isinstance(error, ConnectionFailed) or failures > _MAX_FAILURES:
                raise
            pause(retry_delay(failures, None), stop)


def _is_expired(error: TandemError) -> bool:
    """By the status: an object storage responds in XML.

    With 400 when the credentials that signed the link have expired.
    """
    return isinstance(error, ApiError) and error.status in (400, 403)


def _read_from(
    transport: Transport, url: str, at: int, stop: threading.Event | None
) -> Iterator[bytes]:
    # The length and the checksum are those of the bytes as they are stored.
    headers = {"Accept-Encoding": "identity"}
    if at > 0:
        headers["Range"] = f"bytes={at}-"
    request = Request("GET", url, headers, follows_redirects=True)
    response = transport.open(request, CallOptions(stop=stop))
    with response:
        # A server that ignores the range sends everything.
        skip = 0 if response.status == 206 else at
        while True:
            require_running(stop)
            chunk = _read_chunk(response)
            if not chunk:
                return
            rest = chunk[skip:]
            skip -= len(chunk) - len(rest)
            if rest:
                yield rest


def _read_chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)
    except NETWORK_ERRORS as error:
        raise ConnectionFailed(f"The download broke off: {error}") from error


def verified(file: ExportFile, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes. Raises ChecksumError at their end, if they do not fit the manifest."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    _require_checksum(file, digest.hexdigest())


def _require_checksum(file: ExportFile, sha256: str) -> None:
    if sha256 != file["sha256"]:
        raise ChecksumError(
            f"{file['name']} has the SHA-256 {sha256}, and the manifest has {file['sha256']}."
        )


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of UTF-8 text, without their line feeds. Only a line feed ends a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
    if rest:
        yield rest.decode()


@dataclass
class DownloadProgress:
    """Bytes of all files, with those that were there before."""

    bytes: int
    total_bytes: int
    files_done: int
    files: int


def download_files(
    files: list[ExportFile],
    folder: str | os.PathLike[str],
    read: Callable[[ExportFile, int, threading.Event], Iterator[bytes]],
    *,
    parallel: int,
    on_progress: Callable[[DownloadProgress], object] | None,
    stop: threading.Event | None,
) -> list[Path]:
    """Writes the files into a folder, several at once; each first as ``<name>.part``."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = [path_of(target, file["name"]) for file in files]
    progress = DownloadProgress(0, sum(file["bytes"] for file in files), 0, len(files))
    lock = threading.Lock()
    failed = threading.Event()

    def report(count: int, done: int = 0) -> None:
        if failed.is_set():
            raise Stopped("Another file failed.")
        require_running(stop)
        with lock:
            progress.bytes += count
            progress.files_done += done
            if on_progress is not None:
                on_progress(DownloadProgress(**vars(progress)))

    def run(file: ExportFile, path: Path) -> None:
        try:
            _download_file(file, path, lambda at: read(file, at, failed), report)
            report(0, 1)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        tasks = [pool.submit(run, file, path) for file, path in zip(files, paths)]
        wait(tasks, return_when=FIRST_EXCEPTION)
        errors = [error for task in tasks if (error := task.exception()) is not None]
    require_running(stop)
    if errors:
        # Those that stopped for another's failure are not its cause.
        raise next((each for each in errors if not isinstance(each, Stopped)), errors[0])
    return paths


def _download_file(
    file: ExportFile,
    path: Path,
    read: Callable[[int], Iterator[bytes]],
    report: Callable[[int], None],
) -> None:
    if _size_of(path) == file["bytes"] and _hash_of(path).hexdigest() == file["sha256"]:
        report(file["bytes"])
        return
    part = path.with_name(path.name + ".part")
    try:
        _continue_part(file, part, read, report)
    except ChecksumError:
        # Another export's part, or one that the disk has damaged: once more from the beginning.
        report(-min(_size_of(part), file["bytes"]))
        part.unlink(missing_ok=True)
        _continue_part(file, part, read, report)
    part.replace(path)


def _continue_part(
    file: ExportFile,
    part: Path,
    read: Callable[[int], Iterator[bytes]],
    report: Callable[[int], None],
) -> None:
    offset = _size_of(part)
    digest = _hash_of(part) if offset else hashlib.sha256()
    report(min(offset, file["bytes"]))
    if offset > file["bytes"]:
        raise ChecksumError(f"{part} is longer than the file.")
    with part.open("ab") as output:
        for chunk in read(offset):
            digest.update(chunk)
            output.write(chunk)
            report(len(chunk))
        output.flush()
        os.fsync(output.fileno())
    _require_checksum(file, digest.hexdigest())


def _hash_of(path: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def path_of(folder: Path, name: str) -> Path:
    """Refuses a name that would lead out of the folder."""
    if not name or name.startswith(".") or any(sign in name for sign in "/\\\0"):
        raise TandemError(f"The file name {name!r} is not allowed.")
    return folder / name
