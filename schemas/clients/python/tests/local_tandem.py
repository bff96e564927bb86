from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

from tandem_client import Replica, SqliteStore, Tandem
from tandem_client._raw_json import members_of
from tandem_client._record_digest import DigestSum, bucket_of, digest_of

from .test_client import Handler, WithServer

SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
BIG = "9007199254740993"
COLUMNS = [
    {"name": "id", "type": "int8", "json": "integer", "key": True},
    {"name": "total", "type": "numeric", "json": "string", "key": False},
    {"name": "memo", "type": "text", "json": "string", "key": False},
]


def row(key: str, total: str, memo: str = '"a"') -> str:
    return '{"id":%s,"total":"%s","memo":%s}' % (key, total, memo)


class WithTandem(WithServer):
    """The part of the API that a replica uses, with the records and events of a test."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        self.events: list[str] = []
        self.export_status = "completed"
        self.is_kept = True
        self.webhooks: list[Any] = []
        self.webhook_status = "active"
        self.held_by: str | None = None
        self.dead_letters: list[Any] = []
        # Statuses of the next requests for events, without a problem document.
        self.outage: list[int] = []
        self.redelivered: list[str] = []
        # Whether past states of records are known.
        self.has_past = True
        # Called when an export is created, before the response.
        self.on_export: Callable[[], object] = lambda: None
        self.cancelled: list[str] = []
        # How far the cuts of the next exports are behind the last event.
        self.cuts_behind: list[int] = []
        self._keys: dict[str, str] = {}
        self._exports: dict[str, dict[str, Any]] = {}
        self.url = self.serve(self._respond)
        self.client = Tandem(self.url, "tk_1")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.open_store()

    def open_store(self) -> None:
        self.store = SqliteStore(self.folder / f"{time.monotonic_ns()}.db")
        self.addCleanup(self.store.close)
        self.replica = self.create()

    def create(self, store: Any = None, resources: tuple[str, ...] = ("invoices",)) -> Replica:
        return Replica(self.client, store or self.store, resources)

    def records(self) -> list[str]:
        query = "select _json from invoices order by _json"
        return [each for (each,) in self.store.connection.execute(query)]

    def one(self, query: str) -> Any:
        return self.store.connection.execute(query).fetchone()[0]

    def add(self, kind: str, key: str = "null", data: str = "{}", more: str = "") -> str:
        number = len(self.events) + 1
        text = (
            '{"id":"evt_%d","type":"%s","timestamp":"2026-03-01T00:00:00.%06dZ",'
            '"position":"0000000000000001-%010d","resource":"invoices","key":%s,"data":%s%s}'
        ) % (number, kind, number, number, key, data, more)
        self.events.append(text)
        return text

    def update(self, key: str, data: str, more: str = "") -> str:
        return self.add("invoice.updated", '{"id":%s}' % key, data, more)

    def delete(self, key: str) -> str:
        return self.add("invoice.deleted", '{"id":%s}' % key, row(key, "0"))

    def reset(self, reason: str = "table_truncated") -> str:
        data = json.dumps({"reason": reason, "resources": ["invoices"]})
        return self.add("feed.reset", data=data)

    def follow(self, replica: Replica) -> tuple[threading.Event, threading.Thread]:
        stop = threading.Event()
        webhook: Any = {"url": "https://example.com/hook"}
        following = threading.Thread(target=lambda: replica.follow(webhook=webhook, stop=stop))
        following.start()
        self.addCleanup(stop.set)
        return stop, following

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)

    def _respond(self, handler: Handler, _: int) -> None:
        url = urlsplit(handler.path)
        collection, *rest = url.path.strip("/").split("/")
        if handler.command == "DELETE":
            handler.send(204, b"")
        elif collection == "events" and handler.command == "POST":
            self.redelivered.append(rest[0])
            handler.json(202, {"state": "queued"})
        elif rest[-1:] == ["dead-letters"]:
            handler.json(200, {"data": self.dead_letters, "has_more": False, "next_cursor": None})
        elif collection == "webhooks" and handler.command == "GET":
            handler.json(200, {"status": self.webhook_status, "held_by": self.held_by, "order": "strict"})
        elif collection == "webhooks":
            self.webhooks.append(json.loads(handler.body))
            handler.json(201, {"id": f"whk_{len(self.webhooks)}", "secret": SECRET})
        elif collection == "resources":
            found = {"name": "invoices", "exports": {"as_of": self.has_past}}
            handler.json(200, {"data": [found], "has_more": False, "next_cursor": None})
        elif collection == "exports" and rest[-1:] == ["cancel"]:
            self.cancelled.append(rest[0])
            handler.json(202, self._describe(rest[0]))
        elif collection == "exports" and len(rest) < 2:
            key = handler.headers["Idempotency-Key"]
            known = rest[0] if rest else self._keys.get(key)
            if known is None:
                known = f"exp_{len(self._exports) + 1}"
                self._keys[key] = known
                self._exports[known] = self._export(json.loads(handler.body))
                self.on_export()
            handler.json(200, self._describe(known))
        elif collection == "exports":
            handler.json(200, {"schemas": {"invoices": {"columns": COLUMNS}}})
        elif collection == "storage":
            handler.send(200, self._exports[rest[0]]["text"])
        elif self.outage:
            handler.send(self.outage.pop(0), b"<html>no gateway</html>")
        elif not self.is_kept:
            handler.json(410, {"code": "gone"})
        else:
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            first = self._exports.get(query.get("after_export", ""), {}).get("start", 0)
            start = int(query.get("after", str(first)).split("-")[-1])
            end = min(start + min(2, int(query["limit"])), len(self.events))
            data = ",".join(self.events[start:end])
            more = "true" if end < len(self.events) else "false"
            text = '{"data":[%s],"has_more":%s,"next_cursor":"%d"}' % (data, more, end)
            handler.send(200, text.encode())

    def _export(self, request: Any) -> dict[str, Any]:
        lines = "".join(line + "\n" for line in self.lines)
        behind = self.cuts_behind.pop(0) if self.cuts_behind else 0
        export: dict[str, Any] = {
            "rows": len(self.lines),
            "start": len(self.events),
            "status": self.export_status,
            "text": lines.encode(),
            "cut": None,
        }
        if request.get("format") == "digest":
            text, digest = self._digest(request.get("buckets"))
            position = "0000000000000001-%010d" % (len(self.events) + 1 - behind)
            export.update(text=text.encode(), digest=digest, cut={"position": position})
        return export

    def _digest(self, wanted: Any) -> tuple[str, str]:
        total = DigestSum()
        sums = [DigestSum() for _ in range(256)]
        listed: list[str] = []
        for line in self.lines:
            key, digest = '{"id":%s}' % members_of(line)["id"], digest_of(line)
            bucket = bucket_of(key)
            total.add(digest)
            sums[bucket].add(digest)
            if wanted and bucket in wanted:
                listed.append('{"bucket":%d,"key":%s,"digest":"%s"}\n' % (bucket, key, digest))
        if wanted is None:
            listed = [
                json.dumps({"bucket": bucket, "rows": each.rows, "digest": each.digest}) + "\n"
                for bucket, each in enumerate(sums)
            ]
        return "".join(listed), total.digest

    def _describe(self, export_id: str) -> dict[str, Any]:
        export = self._exports[export_id]
        file = {
            "name": "invoices.jsonl",
            "resource": "invoices",
            "rows": export["rows"],
            "bytes": len(export["text"]),
            "sha256": hashlib.sha256(export["text"]).hexdigest(),
            "url": f"{self.url}/storage/{export_id}",
            **({"digest": export["digest"]} if "digest" in export else {}),
        }
        status = export["status"]
        return {
            "id": export_id,
            "status": status,
            "as_of": "2026-03-01T00:00:00Z",
            "cut": export["cut"],
            "snapshot": {"lsn": "0/0"},
            "files": [file] if status == "completed" else [],
        }
