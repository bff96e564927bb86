from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

from tandem_client import (
    ApiError,
    ChecksumError,
    ConnectionFailed,
    ForbiddenError,
    InvalidError,
    JobError,
    NotFoundError,
    Tandem,
    TandemError,
    TooManyError,
)
from tandem_client._replica_pull import read_events

KEY = "tk_very-secret"
Respond = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = b""

    def _handle(self) -> None:
        server: Any = self.server
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with server.lock:
            server.requests.append(self)
            count = len(server.requests)
        server.respond(self, count)

    do_GET = do_POST = do_DELETE = do_PATCH = _handle

    def json(self, status: int, body: Any, **headers: str) -> None:
        self.send(status, json.dumps(body).encode(), **headers)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


class WithServer(unittest.TestCase):
    def serve(self, respond: Respond) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        facts = {"respond": respond, "requests": [], "lock": threading.Lock()}
        for name, value in facts.items():
            setattr(server, name, value)
        self.server: Any = server
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    @property
    def requests(self) -> list[Handler]:
        requests: list[Handler] = self.server.requests
        return requests


class Requests(WithServer):
    def test_a_problem_is_an_error_of_its_code(self) -> None:
        faults = [{"pointer": "/resource", "detail": "must be a resource: customers"}]
        problem = {"code": "invalid", "detail": "Wrong.", "errors": faults, "request_id": "req_1"}
        client = Tandem(self.serve(lambda handler, _: handler.json(422, problem)), KEY)
        with self.assertRaises(InvalidError) as raised:
            client.exports.create(resource="nothing")
        error = raised.exception
        self.assertEqual([error.status, error.request_id, error.errors], [422, "req_1", faults])
        self.assertEqual(
            str(error), "Wrong. /resource must be a resource: customers (request req_1)"
        )
        self.assertEqual(len(self.requests), 1)

    def test_of_a_problem_body_without_an_end_only_a_part_is_read(self) -> None:
        def respond(handler: Handler, _: int) -> None:
            handler.send_response(502)
            handler.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    handler.wfile.write(b" " * 65_536)

        client = Tandem(self.serve(respond), KEY, max_retries=0)
        with self.assertRaises(ApiError) as raised:
            client.feed.get()
        self.assertEqual(raised.exception.status, 502)

    def test_a_creating_request_keeps_its_idempotency_key(self) -> None:
        def respond(handler: Handler, count: int) -> None:
            if count == 1:
                handler.json(503, {"code": "unavailable"}, Retry_After="0")
            elif count == 2:
                handler.drop()
            else:
                handler.json(202, {"id": "exp_1", "status": "pending"})

        client = Tandem(self.serve(respond), KEY)
        self.assertEqual(client.exports.create(resource="invoices").id, "exp_1")
        keys = [request.headers["Idempotency-Key"] for request in self.requests]
        self.assertEqual([len(keys), len(set(keys))], [3, 1])
        client.exports.create(resource="invoices", idempotency_key="mine")
        self.assertEqual(self.requests[-1].headers["Idempotency-Key"], "mine")

    def test_retries_end(self) -> None:
        wait = "0"
        client = Tandem(
            self.serve(lambda handler, _: handler.json(429, {"code": "too_many"}, Retry_After=wait)),
            KEY,
            max_retries=1,
            max_wait=5,
        )
        with self.assertRaises(TooManyError):
            client.exports.get("exp_1")
        self.assertEqual(len(self.requests), 2)
        wait = "6"
        with self.assertRaises(TooManyError) as raised:
            client.exports.get("exp_1")
        self.assertEqual([raised.exception.retry_after, len(self.requests)], [6, 3])

    def test_a_test_of_an_endpoint_is_not_repeated(self) -> None:
        client = Tandem(self.serve(lambda handler, _: handler.drop()), KEY)
        with self.assertRaises(ConnectionFailed):
            client.webhooks.test("whk_1")
        self.assertEqual(len(self.requests), 1)

    def test_a_redirect_is_followed_to_a_file_and_elsewhere_it_is_an_error(self) -> None:
        page = {"data": [], "has_more": False, "next_cursor": None}
        other = self.serve(lambda handler, _: handler.json(200, page))
        seen = self.requests
        status = 301
        url = other + "/moved?signature=x"
        client = Tandem(self.serve(lambda handler, _: handler.send(status, b"", Location=url)), KEY)
        # The standard library would follow the creation by a GET, and the list be the new export.
        for status in (301, 302, 303, 307, 308):
            calls = (lambda: client.exports.create(resource="x"), client.exports.list().page)
            for call in calls:
                with self.subTest(status=status), self.assertRaises(ApiError) as raised:
                    call()
                error = raised.exception
                self.assertEqual([error.status, error.code], [status, f"http_{status}"])
                self.assertIn(f"redirects to {other}/moved. Use", str(error))
        self.assertEqual([len(seen), len(self.requests)], [0, 10])
        status = 302
        client.exports.file("exp_1", "a.jsonl").close()
        self.assertEqual(len(seen), 1)

    def test_what_a_gateway_responds_is_an_error_of_this_package(self) -> None:
        status, body = 0, b""
        client = Tandem(
            self.serve(lambda handler, _: handler.send(status, body)), KEY, max_retries=0
        )
        for status, body, code in (
            (403, b'{"code":1010,"errors":["banned"]}', "http_403"),
            (403, b'{"code":"banned","errors":["banned"],"detail":{"a":1}}', "banned"),
            (422, b'{"code":"invalid","errors":"no","request_id":7}', "invalid"),
            (422, b'{"code":"invalid","errors":[{"pointer":"/a"},null]}', "invalid"),
            (400, b"null", "http_400"),
            (400, b'[{"code":"invalid"}]', "http_400"),
            (400, b"[" * 100_000, "http_400"),
        ):
            with self.subTest(body=body[:99]), self.assertRaises(ApiError) as raised:
                client.feed.get()
            error = raised.exception
            self.assertEqual([error.status, error.code, error.errors], [status, code, []])
        for status, body in ((200, b"<html>"), (200, b"<p>\xfc</p>"), (200, b"[]")):
            with self.subTest(body=body), self.assertRaises(TandemError):
                read_events(client, {}, 1, None)
        for status, body in ((200, b"<html>"), (200, b"<p>\xfc</p>")):
            with self.subTest(body=body), self.assertRaisesRegex(TandemError, "Is it the API"):
                client.feed.get()

    def test_a_delete_whose_response_was_lost_has_succeeded(self) -> None:
        def respond(handler: Handler, count: int) -> None:
            handler.drop() if count == 1 else handler.json(404, {"code": "not_found"})

        Tandem(self.serve(respond), KEY).webhooks.delete("whk_1")
        self.assertEqual(len(self.requests), 2)

    def test_a_delete_of_what_was_never_there_is_an_error(self) -> None:
        status = 503

        def respond(handler: Handler, count: int) -> None:
            code = 404 if count % 2 == 0 else status
            handler.json(code, {"code": "not_found" if code == 404 else "other"})

        client = Tandem(self.serve(respond), KEY)
        for status in (503, 429):
            with self.subTest(status=status), self.assertRaises(NotFoundError):
                client.webhooks.delete("whk_1")
        for status in (500, 502):
            client.webhooks.delete("whk_1")
        self.assertEqual(len(self.requests), 8)

    def test_a_delete_whose_response_broke_off_has_succeeded(self) -> None:
        def respond(handler: Handler, count: int) -> None:
            if count > 1:
                handler.json(404, {"code": "not_found"})
                return
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"{")
            handler.close_connection = True

        Tandem(self.serve(respond), KEY).webhooks.delete("whk_1")
        self.assertEqual(len(self.requests), 2)

    def test_the_key_is_in_no_error_and_stays_with_its_host(self) -> None:
        other = self.serve(lambda handler, _: handler.json(200, {}))
        seen = self.requests
        client = Tandem(
            self.serve(lambda handler, _: handler.send(302, b"", Location=other + "/storage")), KEY
        )
        client.exports.file("exp_1", "a.jsonl").close()
        self.assertIn(KEY, self.requests[0].headers["Authorization"])
        self.assertIsNone(seen[0].headers["Authorization"])
        with self.assertRaises(TandemError) as raised:
            Tandem("http://127.0.0.1", KEY + "\n")
        self.assertNotIn(KEY, str(raised.exception) + repr(client))
        with self.assertRaises(ConnectionFailed) as failed:
            Tandem(f"http://127.0.0.1:1/{KEY}", KEY, max_retries=0).feed.get()
        self.assertNotIn(KEY, repr(failed.exception) + repr(failed.exception.__cause__))

    def test_a_list_is_read_page_by_page(self) -> None:
        def respond(handler: Handler, _: int) -> None:
            page = int(handler.path.rpartition("cursor=")[2]) if "cursor" in handler.path else 1
            more = page < 3
            data = [{"id": f"exp_{page}a"}, {"id": f"exp_{page}b"}]
            cursor = str(page + 1) if more else None
            handler.json(200, {"data": data, "has_more": more, "next_cursor": cursor})

        client = Tandem(self.serve(respond), KEY)
        ids = [export["id"] for export in client.exports.list(status="completed", limit=2)]
        self.assertEqual(ids, [f"exp_{page}{half}" for page in (1, 2, 3) for half in "ab"])
        self.assertEqual(self.requests[-1].path, "/exports?status=completed&limit=2&cursor=3")
        client.events.search(from_="2026-03-01").page()
        self.assertEqual(self.requests[-1].path, "/events/search?from=2026-03-01")

    def test_the_feed_ends_where_nothing_more_can_be_read(self) -> None:
        def respond(handler: Handler, _: int) -> None:
            first = "after_export=exp_1" in handler.path
            cursor = "c1" if first else "c2"
            page = {"data": [{"id": "evt"}], "has_more": first, "next_cursor": cursor}
            handler.json(200, page)

        client = Tandem(self.serve(respond), KEY)
        self.assertEqual(len(list(client.events.list(after_export="exp_1", limit=1))), 2)
        paths = [request.path for request in self.requests]
        self.assertEqual(paths, ["/events?after_export=exp_1&limit=1", "/events?limit=1&after=c1"])
        pages: list[str] = []
        for page in client.events.follow(after_export="exp_1", poll_seconds=0.001):
            pages.append(page["next_cursor"])
            if len(pages) == 3:
                break
        self.assertEqual(pages, ["c1", "c2", "c2"])

    def test_wait_reports_progress_and_a_failure(self) -> None:
        def respond(handler: Handler, count: int) -> None:
            status = "pending" if count == 1 else "running" if count < 4 else last
            handler.json(200, {"id": "exp_1", "status": status, "error": {"message": "no disk"}})

        last = "completed"
        client = Tandem(self.serve(respond), KEY)
        seen: list[str] = []
        job = client.exports.create(resource="invoices")
        job.wait(on_progress=lambda export: seen.append(export["status"]))
        self.assertEqual(seen, ["running", "running", "completed"])
        last = "failed"
        with self.assertRaisesRegex(JobError, "exp_1 is failed: no disk"):
            job.wait()


CONTENT = bytes(range(256)) * 1_200


class Downloads(WithServer):
    def storage(self, breaks: tuple[int, ...] = (), **behaviour: Any) -> Tandem:
        downloads: list[str | None] = []
        links: list[str] = []

        def respond(handler: Handler, _: int) -> None:
            if handler.path == "/exports/exp_1":
                links.append(handler.path)
                file = {
                    "name": behaviour.get("name", "a.jsonl"),
                    "bytes": len(CONTENT),
                    "sha256": behaviour.get("sha256", hashlib.sha256(CONTENT).hexdigest()),
                    "url": f"{url}/storage/a?link={len(links)}",
                }
                handler.json(200, {"id": "exp_1", "status": "completed", "files": [file]})
                return
            if "manifest" in handler.path:
                handler.send(200, b"{}")
                return
            downloads.append(handler.headers["Range"])
            if behaviour.get("expired", 0) >= int(handler.path.rpartition("=")[2]):
                status, body = behaviour.get("expiry", (403, b'{"code":"forbidden"}'))
                handler.send(status, body)
                return
            is_ignored = behaviour.get("ignores_range", False)
            start = 0 if is_ignored else int((handler.headers["Range"] or "bytes=0-")[6:-1])
            if len(downloads) > len(breaks):
                handler.send(206 if start else 200, CONTENT[start:])
                return
            handler.send_response(206 if start else 200)
            handler.send_header("Content-Length", str(len(CONTENT) - start))
            handler.end_headers()
            handler.wfile.write(CONTENT[start : start + breaks[len(downloads) - 1]])
            handler.close_connection = True

        url = self.serve(respond)
        self.ranges = downloads
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        return Tandem(url, KEY)

    def test_a_download_continues_where_it_ended(self) -> None:
        client = self.storage(breaks=(100_000, 50_000))
        [path] = client.exports.download("exp_1", self.folder)
        self.assertEqual(path.read_bytes(), CONTENT)
        self.assertEqual(self.ranges, [None, "bytes=100000-", "bytes=150000-"])
        self.assertEqual((self.folder / "manifest.json").read_text(), "{}")
        client.exports.download("exp_1", self.folder)
        self.assertEqual(len(self.ranges), 3)
        path.rename(self.folder / "a.jsonl.part")
        (self.folder / "a.jsonl.part").write_bytes(CONTENT[:1_234])
        client.exports.download("exp_1", self.folder)
        self.assertEqual([self.ranges[-1], path.read_bytes()], ["bytes=1234-", CONTENT])

    def test_a_server_that_ignores_ranges_is_read_from_the_beginning(self) -> None:
        client = self.storage(breaks=(100_000,), ignores_range=True)
        [path] = client.exports.download("exp_1", self.folder)
        self.assertEqual([path.read_bytes(), len(self.ranges)], [CONTENT, 2])

    def test_a_wrong_part_is_replaced_and_a_wrong_file_is_none(self) -> None:
        client = self.storage()
        (self.folder / "a.jsonl.part").write_bytes(b"something else")
        [path] = client.exports.download("exp_1", self.folder)
        self.assertEqual(path.read_bytes(), CONTENT)
        client = self.storage(sha256="0" * 64)
        with self.assertRaises(ChecksumError):
            client.exports.download("exp_1", self.folder)
        self.assertEqual(list(self.folder.glob("*.jsonl")), [])
        with self.assertRaises(ChecksumError):
            list(client.exports.stream("exp_1", "a.jsonl"))

    def test_an_expired_link_is_replaced_once(self) -> None:
        xml = b"<Error><Code>AccessDenied</Code></Error>"
        for expiry in ((403, b'{"code":"forbidden"}'), (403, xml), (400, xml)):
            with self.subTest(expiry=expiry):
                client = self.storage(expired=1, expiry=expiry)
                self.assertEqual(b"".join(client.exports.stream("exp_1", "a.jsonl")), CONTENT)
                with self.assertRaises(ApiError) as raised:
                    list(self.storage(expired=9, expiry=expiry).exports.stream("exp_1", "a.jsonl"))
                self.assertEqual([raised.exception.status, len(self.ranges)], [expiry[0], 2])
        with self.assertRaises(ForbiddenError):
            list(self.storage(expired=9).exports.stream("exp_1", "a.jsonl"))

    def test_a_name_that_leads_out_of_the_folder_is_refused(self) -> None:
        with self.assertRaisesRegex(TandemError, "not allowed"):
            self.storage(name="../a").exports.download("exp_1", self.folder)
