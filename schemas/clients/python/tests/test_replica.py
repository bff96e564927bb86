from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
import threading
import time
import unittest
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import parse_qs, urlsplit

from tandem_client import ApiError, JobError, Replica, SqliteStore, StoreTransaction, Tandem

from tandem_client._replica_state import StoredRecord

from .test_client import Handler, WithServer

SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
BIG = "9007199254740993"
COLUMNS = [
    {"name": "id", "type": "int8", "json": "integer", "key": True},
    {"name": "total", "type": "numeric", "json": "string", "key": False},
    {"name": "memo", "type": "text", "json": "string", "key": False},
]


class Killed(Exception):
    pass


class DyingStore:
    """Dies in a transaction: before or after its commit, in turns."""

    def __init__(self, store: SqliteStore, dies: int) -> None:
        self._store, self._left, self._is_before = store, dies, dies % 2 == 0

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        self._left -= 1
        if self._left <= 0 and self._is_before:
            raise Killed
        with self._store.transaction() as transaction:
            yield transaction
        if self._left <= 0:
            raise Killed


def row(key: str, total: str, memo: str = '"a"') -> str:
    return '{"id":%s,"total":"%s","memo":%s}' % (key, total, memo)


class Replicas(WithServer):
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
        deadline = time.monotonic() + 10
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
            handler.json(200, {"status": self.webhook_status, "held_by": self.held_by})
        elif collection == "webhooks":
            self.webhooks.append(json.loads(handler.body))
            handler.json(201, {"id": f"whk_{len(self.webhooks)}", "secret": SECRET})
        elif collection == "exports" and len(rest) < 2:
            key = handler.headers["Idempotency-Key"]
            known = rest[0] if rest else self._keys.get(key)
            if known is None:
                known = f"exp_{len(self._exports) + 1}"
                self._keys[key] = known
                self._exports[known] = {
                    "text": "".join(line + "\n" for line in self.lines).encode(),
                    "start": len(self.events),
                    "status": self.export_status,
                }
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
            start = int(query.get("after", first))
            end = min(start + 2, len(self.events))
            data = ",".join(self.events[start:end])
            more = "true" if end < len(self.events) else "false"
            text = '{"data":[%s],"has_more":%s,"next_cursor":"%d"}' % (data, more, end)
            handler.send(200, text.encode())

    def _describe(self, export_id: str) -> dict[str, Any]:
        export = self._exports[export_id]
        file = {
            "name": "invoices.jsonl",
            "resource": "invoices",
            "rows": export["text"].count(b"\n"),
            "bytes": len(export["text"]),
            "sha256": hashlib.sha256(export["text"]).hexdigest(),
            "url": f"{self.url}/storage/{export_id}",
        }
        status = export["status"]
        return {"id": export_id, "status": status, "files": [file] if status == "completed" else []}

    def test_it_begins_with_the_export_and_keeps_every_digit(self) -> None:
        self.update("1", row("1", "0.10"))
        self.lines = [row("1", "10.00", '"\u2028 \\n"'), row(BIG, "1.10")]
        self.replica.sync()
        self.assertEqual(self.records(), self.lines)
        self.assertEqual(self.one(f"select total from invoices where id = {BIG}"), "1.10")
        self.update(BIG, row(BIG, "2.20"))
        self.delete("1")
        self.add("invoice.created", '{"id":3}', row("3", "3.00"))
        self.replica.sync()
        self.assertEqual(self.records(), [row("3", "3.00"), row(BIG, "2.20")])

    def test_values_that_did_not_change_are_kept(self) -> None:
        self.lines = [row("1", "10.00", '"long"')]
        self.replica.sync()
        self.update("1", '{"id":1,"memo":"new"}', ',"unchanged":["total"]')
        self.replica.sync()
        self.assertEqual(self.records(), [row("1", "10.00", '"new"')])
        # Without the record that has the value, only a new export helps.
        self.lines = [row("2", "7.00")]
        self.update("2", '{"id":2,"memo":"new"}', ',"unchanged":["total"]')
        self.replica.sync()
        self.assertEqual(self.records(), [row("2", "7.00")])

    def test_a_reset_loads_beside_the_old_records(self) -> None:
        self.lines = [row("1", "1.00"), row("2", "2.00")]
        self.replica.sync()
        self.reset()
        # The export holds what is later than these.
        self.update("1", row("1", "7.00"))
        self.update("1", row("1", "8.00"))
        self.lines = [row("1", "9.00")]
        reasons: list[str] = []
        seen: set[int] = set()
        self.replica.sync(
            on_reset=reasons.append, on_progress=lambda _: seen.add(len(self.records()))
        )
        self.assertEqual([reasons, seen], [["table_truncated"], {2}])
        self.assertEqual(self.records(), [row("1", "9.00")])
        self.assertEqual(self.one("select count(*) from tandem_records"), 1)

    def test_a_resource_that_cannot_be_sent_waits_for_the_end_of_that(self) -> None:
        self.replica.sync()
        self.reset("row_unencodable")
        self.replica.sync()
        self.assertEqual(self.replica.status().stalled, {"invoices": "row_unencodable"})
        self.assertEqual(len(self._exports), 1)
        self.reset("resource_resumed")
        self.replica.sync()
        status = self.replica.status()
        self.assertEqual([status.stalled, status.export_id, status.is_loaded], [{}, "exp_2", True])

    def test_a_new_export_when_the_feed_no_longer_reaches_back_or_an_export_failed(self) -> None:
        self.replica.sync()
        self.is_kept = False
        self.export_status = "failed"
        with self.assertRaises(JobError):
            self.replica.sync()
        self.is_kept, self.export_status = True, "completed"
        self.lines = [row("1", "1.00")]
        self.replica.sync()
        self.assertEqual([self.records(), len(self._exports)], [self.lines, 3])
        self.lines = [row("2", "2.00")]
        self.replica.reload()
        self.assertEqual(self.records(), self.lines)
        self.create(resources=("customers", "invoices")).sync()
        self.assertEqual(len(self._exports), 5)

    def test_whatever_transaction_a_process_dies_in_the_next_one_ends_with_the_same(self) -> None:
        for dies in range(1, 40):
            self.events.clear()
            self._exports.clear()
            self._keys.clear()
            self.lines = [row("1", "1.00"), row("2", "2.00")]
            self.open_store()
            self.replica.load()
            self.update("1", row("1", "1.50"))
            self.reset()
            self.lines = [row("3", "3.00"), row("4", "4.00"), row("5", "5.00")]
            try:
                self.create(DyingStore(self.store, dies)).sync()
                has_ended = True
            except Killed:
                has_ended = False
            self.update("3", row("3", "3.50"))
            self.delete("4")
            # An export that is made only now holds both.
            self.lines = [row("3", "3.50"), row("5", "5.00")]
            self.create().sync()
            self.assertEqual(self.records(), [row("3", "3.50"), row("5", "5.00")])
            self.assertEqual(len(self._exports), 2)
            if has_ended:
                self.assertGreater(dies, 10)
                return
        self.fail("the replica needs more transactions than were tried")

    def test_webhooks_are_verified_and_applied_once_through_repeats_and_resets(self) -> None:
        def post(*events: str, secret: str = SECRET) -> int:
            batch = '{"id":"bat_1","type":"batch","events":[%s]}' % ",".join(events)
            body = (events[0] if len(events) == 1 else batch).encode()
            at = str(int(time.time()))
            key = base64.b64decode(secret[6:])
            signature = hmac.new(key, f"id.{at}.".encode() + body, hashlib.sha256).digest()
            headers = {
                "webhook-id": "id",
                "webhook-timestamp": at,
                "webhook-signature": "v1," + base64.b64encode(signature).decode(),
            }
            return self.replica.receive(headers, body)

        self.lines = [row("1", "1.00")]
        first = self.update("1", row("1", "1.10"))
        self.assertEqual(post(first), 503)
        stop, following = self.follow(self.replica)
        self.until(lambda: self.replica.status().webhook_id == "whk_1")
        self.assertEqual(self.webhooks[0]["start"], {"after_export": "exp_1"})
        self.assertEqual([self.webhooks[0]["order"], self.webhooks[0]["events"]], ["strict", ["*"]])
        other = "whsec_" + base64.b64encode(bytes([9] * 32)).decode()
        self.assertEqual(post(first, secret=other), 401)
        second, third = self.update("1", row("1", "1.20")), self.delete("1")
        self.assertEqual(post('{"id":"test_1","type":"webhook.test","position":null}'), 204)
        self.assertEqual(post(first, second), 204)
        self.assertEqual(self.records(), [row("1", "1.20")])
        self.assertEqual(post(second, third), 204)
        # A late repeat does not bring the record back.
        self.assertEqual([post(first, second), self.records()], [204, []])
        self.lines = [row("7", "7.00")]
        self.assertEqual(post(self.reset("changes_lost")), 204)
        self.until(lambda: self.replica.status().webhook_id == "whk_2")
        self.assertEqual(self.records(), self.lines)
        self.assertIn(
            ("DELETE", "/webhooks/whk_1"), [(each.command, each.path) for each in self.requests]
        )
        stop.set()
        following.join(10)
        self.assertFalse(following.is_alive())
        # What the endpoint of a former export still brings may be in the new one.
        self.replica.reload()
        self.assertEqual(post(first), 503)

    def test_a_process_that_starts_again_asks_for_what_all_others_wait_for(self) -> None:
        def follow(until: Callable[[], bool]) -> None:
            stop, following = self.follow(self.create())
            self.until(until)
            stop.set()
            following.join(10)

        follow(lambda: self.replica.status().webhook_id == "whk_1")
        self.held_by = "evt_9"
        follow(lambda: len(self.redelivered) > 0)
        self.assertEqual([self.redelivered, len(self._exports)], [["evt_9"], 1])
        self.webhook_status = "disabled"
        follow(lambda: self.replica.status().webhook_id == "whk_2")
        self.assertEqual(len(self._exports), 2)
        self.webhook_status = "active"
        self.dead_letters = [{"event_id": "evt_9"}]
        follow(lambda: self.replica.status().webhook_id == "whk_3")
        self.assertEqual(len(self._exports), 3)

    def test_an_outage_does_not_end_follow_and_a_wrong_request_does(self) -> None:
        client = Tandem(self.url, "tk_1", max_retries=0)
        replica = Replica(client, self.store, ("invoices",))
        self.outage = [502, 500, 429, 403]
        seen: list[Any] = []
        stop = threading.Event()
        limit = threading.Timer(30, stop.set)
        limit.start()
        self.addCleanup(limit.cancel)
        with self.assertRaises(ApiError) as raised:
            replica.follow(poll_seconds=0.001, on_error=seen.append, stop=stop)
        self.assertEqual(raised.exception.status, 403)
        self.assertEqual([error.status for error in seen], [502, 500, 429])

    def test_records_of_other_loads_are_looked_for_once_and_by_the_primary_key(self) -> None:
        looks: list[str] = []
        self.store.connection.set_trace_callback(
            lambda text: looks.append(text) if "limit" in text else None
        )
        replica = self.create()
        replica.sync()
        found = len(looks)
        self.assertGreater(found, 0)
        for _ in range(3):
            replica.sync()
        self.assertEqual(len(looks), found)
        replica.reload()
        self.assertGreater(len(looks), found)
        found = len(looks)
        self.create().sync()
        self.assertGreater(len(looks), found)
        self.store.connection.set_trace_callback(None)
        left = StoredRecord(data="{}", position=None, at=None)
        with self.store.transaction() as transaction:
            for load in range(1, 7):
                for key in "ab":
                    transaction.write(load, "customers", key, left)
            drops = [transaction.drop_others([5, 2], 7) for _ in range(2)]
        self.assertEqual(drops, [True, False])
        loads = self.store.connection.execute("select distinct load from tandem_records")
        self.assertEqual(sorted(loads), [(2,), (5,)])
        for text in set(looks):
            plan = self.store.connection.execute(f"explain query plan {text}").fetchall()
            self.assertNotIn("SCAN tandem_records", str(plan))

    def test_deleted_records_are_remembered_for_their_days(self) -> None:
        self.lines = [row("1", "1.00")]
        self.replica.sync()
        self.delete("1")
        self.replica.sync()
        for day, count in (("2026-04-14", 2), ("2026-04-16", 1)):
            self.update("2", row("2", "2.00"))
            self.events[-1] = self.events[-1].replace("2026-03-01", day)
            self.replica.sync()
            self.assertEqual(self.one("select count(*) from tandem_records"), count)
