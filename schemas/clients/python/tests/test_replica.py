from __future__ import annotations

import hashlib
import hmac
import base64
import json
import threading
import time
import unittest
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from tandem_client import ApiError, JobError, SqliteStore, StoreTransaction, Tandem, Replica

from tandem_client._replica_state import StoredRecord

from .local_tandem import BIG, SECRET, WithTandem, row


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


class Replicas(WithTandem):
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
        following.join(120)
        self.assertFalse(following.is_alive())
        # What the endpoint of a former export still brings may be in the new one.
        self.replica.reload()
        self.assertEqual(post(first), 503)

    def test_a_process_that_starts_again_asks_for_what_all_others_wait_for(self) -> None:
        def follow(until: Callable[[], bool]) -> None:
            stop, following = self.follow(self.create())
            self.until(until)
            stop.set()
            following.join(120)

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
