from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import unittest
from dataclasses import replace
from pathlib import Path

from tandem_client import RecordDifference, ReplicaError
from tandem_client._record_digest import DigestSum, bucket_of, canonical_of, digest_of
from tandem_client._replica_state import Check, State, Subscription, read_state, write_state

from .local_tandem import SECRET, WithTandem, row

VECTORS = Path(__file__).parents[4] / "test/golden/record-digests.json"


class Digests(unittest.TestCase):
    def test_they_are_those_of_the_vectors(self) -> None:
        vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
        total = DigestSum()
        for each in vectors["records"]:
            self.assertEqual(canonical_of(each["record"]), each["canonical"])
            self.assertEqual(digest_of(each["record"]), each["digest"])
            self.assertEqual(bucket_of(each["key"]), each["bucket"])
            total.add(each["digest"])
        self.assertEqual((total.rows, total.digest), (len(vectors["records"]), vectors["sum"]))


class Checks(WithTandem):
    def hold(self, check: Check | None) -> None:
        with self.store.transaction() as transaction:
            state = read_state(transaction.read_state() or "")
            transaction.write_state(write_state(replace(state, check=check)))

    def state(self) -> State:
        return read_state(self.one("select state from tandem_state"))

    def test_a_replica_is_equal_at_the_cut(self) -> None:
        self.lines = [row("1", "1.00"), row("2", "2.00")]
        self.replica.sync()
        for total in ("1.10", "1.20", "1.30"):
            self.update("1", row("1", total))
        self.lines = [row("1", "1.30"), row("2", "2.00")]
        # The cut is within the second page.
        self.on_export = lambda: self.update("2", row("2", "9.00"))
        check = self.replica.verify()
        self.assertTrue(check.is_equal)
        self.assertEqual(check.position, "0000000000000001-0000000004")
        self.assertEqual(check.resources[0].source, check.resources[0].replica)
        self.assertEqual(self.records(), self.lines)
        self.assertIsNone(self.state().check)
        self.replica.sync()
        self.assertEqual(self.records(), [row("1", "1.30"), row("2", "9.00")])

    def test_differences_are_found(self) -> None:
        self.lines = [row(str(number), "1.00") for number in range(600)]
        self.replica.sync()
        for statement in (
            """update tandem_records set data = replace(data, '1.00', '1.01') where key = '{"id":7}'""",
            """delete from tandem_records where key = '{"id":8}'""",
            """insert into tandem_records select load, resource, '{"id":9999}',
               replace(data, '"id":9,', '"id":9999,'), null, null
               from tandem_records where key = '{"id":9}'""",
        ):
            self.store.connection.execute(statement)
        check = self.replica.verify()
        self.assertFalse(check.is_equal)
        (invoices,) = check.resources
        self.assertTrue(invoices.is_complete)
        self.assertEqual(
            sorted(invoices.differences, key=lambda each: each.key),
            [
                RecordDifference('{"id":7}', "changed"),
                RecordDifference('{"id":8}', "missing"),
                RecordDifference('{"id":9999}', "extra"),
            ],
        )
        keys = ['{"id":7}', '{"id":8}', '{"id":9999}']
        self.assertEqual(list(invoices.buckets), sorted({bucket_of(key) for key in keys}))

    def test_events_wait_until_the_check_is_over(self) -> None:
        self.lines = [row("1", "1.00")]
        self.replica.sync()
        others: list[threading.Thread] = []

        def sync() -> None:
            self.update("1", row("1", "2.00"))
            others.append(threading.Thread(target=self.create().sync))
            others[-1].start()

        self.on_export = sync
        self.assertTrue(self.replica.verify().is_equal)
        for other in others:
            other.join()
        self.assertEqual(self.records(), [row("1", "2.00")])
        self.hold(Check("x", "2999-01-01T00:00:00Z"))
        with self.assertRaisesRegex(ReplicaError, "Another check"):
            self.replica.verify()
        self.hold(Check("x", "2001-01-01T00:00:00.000Z"))
        self.on_export = lambda: None
        self.lines = [row("1", "2.00")]
        self.assertTrue(self.replica.verify().is_equal)

    def test_a_webhook_during_a_check_is_to_come_again(self) -> None:
        self.lines = [row("1", "1.00")]
        self.replica.sync()
        subscription = Subscription("whk_1", "https://x.example", [SECRET], "exp_1")
        with self.store.transaction() as transaction:
            state = replace(self.state(), webhook=subscription, check=Check("x", "2999-01-01T00:00:00Z"))
            transaction.write_state(write_state(state))
        body = self.update("1", row("1", "2.00")).encode()
        self.assertEqual(self.post(body), 503)
        self.assertEqual(self.records(), [row("1", "1.00")])
        self.hold(None)
        self.assertEqual(self.post(body), 204)
        self.assertEqual(self.records(), [row("1", "2.00")])

    def post(self, body: bytes) -> int:
        timestamp = str(int(time.time()))
        signed = b"id." + timestamp.encode() + b"." + body
        digest = hmac.new(bytes([7] * 32), signed, hashlib.sha256).digest()
        headers = {
            "webhook-id": "id",
            "webhook-timestamp": timestamp,
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }
        return self.replica.receive(headers, body)

    def test_a_hold_that_is_lost_ends_the_check(self) -> None:
        self.lines = [row("1", "1.00")]
        self.replica.sync()
        self.update("1", row("1", "2.00"))
        self.on_export = lambda: self.hold(None)
        with self.assertRaisesRegex(ReplicaError, "took too long"):
            self.replica.verify()
        self.assertEqual(self.cancelled, ["exp_2"])

    def test_a_replica_that_is_past_the_cut_is_compared_at_a_later_one(self) -> None:
        self.lines = [row("1", "1.00")]
        self.replica.sync()
        self.update("1", row("1", "1.10"))
        self.replica.sync()
        self.lines = [row("1", "1.10")]
        self.cuts_behind = [1]
        self.assertTrue(self.replica.verify().is_equal)
        self.assertEqual(self.cancelled, ["exp_2"])

    def test_a_check_that_cannot_be_made_says_why(self) -> None:
        with self.assertRaisesRegex(ReplicaError, "sync it first"):
            self.replica.verify()
        self.replica.sync()
        self.has_past = False
        with self.assertRaisesRegex(ReplicaError, "invoices: Past states .* unless they have the account of another"):
            self.replica.verify()
        self.has_past = True
        self.reset("changes_lost")
        with self.assertRaisesRegex(ReplicaError, "new export first: changes_lost"):
            self.replica.verify()
        self.assertIsNone(self.state().check)


if __name__ == "__main__":
    unittest.main()
