from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import unittest

from tandem_client import SignatureError, SqliteStore, Stopped, StoredRecord, verify_webhook
from tandem_client._files import lines_of
from tandem_client._raw_json import elements_of, members_of, object_of
from tandem_client._retry import is_retried, pause, read_retry_after, retry_delay

SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
OTHER = "whsec_" + base64.b64encode(bytes([8] * 32)).decode()
AT = 1_770_000_000
EVENT = {"id": "evt_1", "type": "invoice.created", "data": {"name": "Zoë ✓"}}
BODY = json.dumps(EVENT, ensure_ascii=False)


def sign(body: str, *secrets: str, at: int = AT) -> dict[str, str]:
    signatures = [
        hmac.new(
            base64.b64decode(secret[6:]), f"evt_1.{at}.{body}".encode(), hashlib.sha256
        ).digest()
        for secret in secrets or (SECRET,)
    ]
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(
            "v1," + base64.b64encode(each).decode() for each in signatures
        ),
    }


def now() -> float:
    return AT


class Verify(unittest.TestCase):
    def test_signed_requests_are_verified(self) -> None:
        for body in (BODY, BODY.encode()):
            delivery = verify_webhook(sign(BODY), body, SECRET, now=now)
            self.assertEqual([delivery.events, delivery.is_batch], [[EVENT], False])
        upper = {name.title(): value for name, value in sign(BODY).items()}
        verify_webhook(upper, BODY, SECRET, now=now)

    def test_a_batch_gives_its_events(self) -> None:
        body = json.dumps({"id": "bat_1", "type": "batch", "events": [EVENT, EVENT]})
        delivery = verify_webhook(sign(body), body, SECRET, now=now)
        self.assertEqual([delivery.events, delivery.is_batch], [[EVENT, EVENT], True])

    def test_during_a_rotation_one_that_fits_is_enough(self) -> None:
        verify_webhook(sign(BODY, OTHER, SECRET), BODY, SECRET, now=now)
        verify_webhook(sign(BODY), BODY, [OTHER, SECRET], now=now)

    def test_what_must_not_be_trusted_is_refused(self) -> None:
        cases = [
            ("wrong_signature", sign(BODY), BODY + " "),
            ("wrong_signature", sign(BODY, OTHER), BODY),
            ("wrong_signature", {**sign(BODY), "webhook-id": "evt_2"}, BODY),
            ("wrong_signature", {**sign(BODY), "webhook-signature": "v2,AAAA"}, BODY),
            ("wrong_signature", {**sign(BODY), "webhook-signature": "v1,é"}, BODY),
            # How frameworks decode a byte that is no UTF-8.
            ("wrong_signature", {**sign(BODY), "webhook-signature": "v1,\udcff"}, BODY),
            ("wrong_signature", {**sign(BODY), "webhook-id": "\udcff"}, BODY),
            ("missing_header", {**sign(BODY), "webhook-signature": ""}, BODY),
            ("old_timestamp", {**sign(BODY), "webhook-timestamp": "now"}, BODY),
            ("old_timestamp", sign(BODY, at=AT - 301), BODY),
            ("old_timestamp", sign(BODY, at=AT + 301), BODY),
            ("malformed_body", sign("{"), "{"),
            ("malformed_body", sign("[]"), "[]"),
        ]
        for reason, headers, body in cases:
            with self.subTest(reason=reason, body=body), self.assertRaises(SignatureError) as raised:
                verify_webhook(headers, body, SECRET, now=now)
            self.assertEqual(raised.exception.reason, reason)

    def test_no_more_signatures_are_compared_than_a_rotation_needs(self) -> None:
        headers = sign(BODY)
        for count, is_accepted in ((9, True), (10, False)):
            padded = " ".join(["v1,AAAA"] * count + [headers["webhook-signature"]])
            given = {**headers, "webhook-signature": padded}
            with self.subTest(count=count):
                if is_accepted:
                    verify_webhook(given, BODY, SECRET, now=now)
                else:
                    with self.assertRaises(SignatureError):
                        verify_webhook(given, BODY, SECRET, now=now)

    def test_a_secret_that_is_none_is_an_error_of_the_settings(self) -> None:
        for secret in ("", "whsec_", "whsec_***"):
            with self.assertRaises(ValueError):
                verify_webhook(sign(BODY), BODY, secret, now=now)
        with self.assertRaises(ValueError):
            verify_webhook(sign(BODY), BODY, [], now=now)


class RawJson(unittest.TestCase):
    def test_values_stay_the_texts_that_they_are(self) -> None:
        digits = "9" * 5_000
        text = '{ "id": %s, "price" : 10.00,\n"a\\"b":"x\\\\","j":{"k":[1, "}"]},"e":[] }' % digits
        self.assertEqual(
            members_of(text),
            {"id": digits, "price": "10.00", 'a"b': '"x\\\\"', "j": '{"k":[1, "}"]}', "e": "[]"},
        )
        self.assertEqual(elements_of('[1.50, {"a":[]} ,"]"]'), ["1.50", '{"a":[]}', '"]"'])
        self.assertEqual([elements_of(" [ ] "), members_of("{}")], [[], {}])
        self.assertEqual(object_of(members_of('{"ü":1.0,"b":null}')), '{"ü":1.0,"b":null}')

    def test_what_is_no_object_is_refused(self) -> None:
        for text in ("", "[1]", '{"a"}', '{"a":}', '{"a":1', '{"a":"x', "{a:1}", '{"a":1 "b":2}'):
            with self.subTest(text=text), self.assertRaises(ValueError):
                members_of(text)


class Lines(unittest.TestCase):
    def test_only_a_line_feed_ends_a_line_wherever_the_bytes_are_cut(self) -> None:
        lines = ["a\u2028b\rc", "", "ü", "end"]
        text = "\n".join(lines).encode()
        for size in range(1, len(text) + 1):
            chunks = [text[at : at + size] for at in range(0, len(text), size)]
            self.assertEqual(list(lines_of(chunks)), lines)
        self.assertEqual(list(lines_of([b"a\n", b"b\n"])), ["a", "b"])


class Retry(unittest.TestCase):
    def test_delays_double_up_to_a_limit_and_never_undercut_a_retry_after(self) -> None:
        self.assertEqual([retry_delay(n, None, lambda: 0.0) for n in (1, 2, 3)], [0.125, 0.25, 0.5])
        self.assertEqual([retry_delay(n, None, lambda: 1.0) for n in (1, 2, 9)], [0.25, 0.5, 15.0])
        self.assertGreaterEqual(retry_delay(1, 7, lambda: 0.0), 7)

    def test_retry_after_is_read_in_both_forms(self) -> None:
        self.assertEqual(read_retry_after("12", 0), 12)
        self.assertEqual(read_retry_after("Sun, 01 Mar 2026 00:00:30 GMT", 1_772_323_200), 30)
        self.assertIsNone(read_retry_after("soon", 0))
        self.assertIsNone(read_retry_after(None, 0))

    def test_a_conflict_is_worth_a_repeat_only_if_it_names_a_time(self) -> None:
        self.assertEqual([is_retried(409, None), is_retried(409, 1)], [False, True])
        self.assertEqual([is_retried(status, None) for status in (404, 422, 503)], [False, False, True])

    def test_a_wait_ends_with_its_event(self) -> None:
        stop = threading.Event()
        threading.Timer(0.05, stop.set).start()
        with self.assertRaises(Stopped):
            pause(60, stop)


class Store(unittest.TestCase):
    def test_a_transaction_that_fails_leaves_nothing(self) -> None:
        store = SqliteStore(":memory:")
        self.addCleanup(store.close)
        with self.assertRaises(ZeroDivisionError), store.transaction() as transaction:
            transaction.write_state("first")
            transaction.write(1, "invoices", "1", StoredRecord(data="{}"))
            raise ZeroDivisionError
        with store.transaction() as transaction:
            self.assertIsNone(transaction.read_state())
            self.assertIsNone(transaction.read(1, "invoices", "1"))
