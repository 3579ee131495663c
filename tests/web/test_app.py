"""The shell over real sockets: routes, who is asking, bodies, errors."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import pytest

from careledger.fhir.messages import FhirResponse
from careledger.primitives import errors
from careledger.web.api.messages import ApiRequest
from tests.web.support import BEARER, TOKEN, Client, Node, ask, serving


@pytest.fixture(scope="module")
def shared():
    node = Node(limits={"max_body_bytes": 200_000})
    with serving(node) as port:
        yield node, port


@pytest.fixture
def node(shared):
    node, _ = shared
    node.seen.clear()
    node.logged.clear()
    node.raising, node.response, node.problems, node.seconds = None, None, (), 0.0
    return node


@pytest.fixture
def port(shared):
    return shared[1]


@pytest.mark.parametrize("target, path", [
    ("/fhir", ()), ("/fhir/", ()), ("/fhir/Patient", ("Patient",)), ("/fhir/Patient/", ("Patient",)),
    ("/fhir/Patient/a-1.B/_history/2", ("Patient", "a-1.B", "_history", "2")), ("/fhir/Patient/%61", ("Patient", "a")),
    ("/fhir/Patient/x/$everything", ("Patient", "x", "$everything")), ("/fhir/Patient/x/%24everything", ("Patient", "x", "$everything")),
])  # fmt: skip
def test_paths_below_the_base(node, port, target, path):
    answer = ask(port, "GET", target)
    assert answer.status == 200
    assert node.seen[0].path == path
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


@pytest.mark.parametrize("target", [
    "/fhir//Patient", "/fhir/Patient//1", "/fhir/../x", "/fhir/./Patient", "/fhir/Patient/..", "/fhir/Patient/%2e%2e/x",
    "/fhir/Patient/a%2Fb", "/fhir/Patient/a%00", "/fhir/Patient/%", "/fhir/Patient/%zz", "/fhir/Patient/%ff", "/fhir/Patient/a%20b",
    "/fhir/Patient/a;b=c", "/fhir/Patient/a\\b", "/fhir/Patient/" + "a" * 257, "/fhir/Patient?name=%ff", "/fhir/Patient?name=%00",
    "/fhir/Patient?name=%", "/fhir/Patient?" + "a=b&" * 1001,
])  # fmt: skip
def test_paths_and_queries_refused(node, port, target):
    answer = ask(port, "GET", target)
    assert answer.status == 400
    assert answer.outcome
    assert not node.seen


def test_queries_keep_order_and_repetition(node, port):
    ask(port, "GET", "/fhir/Patient?name=M%C3%B3nica+X&name=&a&name=b%26c&&date=ge2020")
    assert node.seen[0].query == [
        ("name", "Mónica X"),
        ("name", ""),
        ("a", ""),
        ("name", "b&c"),
        ("date", "ge2020"),
    ]


@pytest.mark.parametrize(
    "target",
    [
        "/fhirx",
        "/fhir%2FPatient",
        "/FHIR",
        "/admin",
        "/metadata",
        "/livez/",
        "//fhir",
        "/readyz/x",
        "*",
        "/fhi",
    ],
)
def test_unknown_addresses(node, port, target):
    answer = ask(port, "GET", target)
    assert answer.status in (400, 404)
    assert answer.outcome
    assert not node.seen


def test_probes_need_no_token(node, port):
    assert ask(port, "GET", "/livez", b"").status == 200
    assert json.loads(ask(port, "GET", "/readyz", b"").body) == {"status": "ready"}
    assert ask(port, "HEAD", "/livez", b"").status == 200
    assert ask(port, "POST", "/livez", b"").status == 405
    node.problems = ("the access log cannot be written",)
    answer = ask(port, "GET", "/readyz", b"")
    assert (answer.status, json.loads(answer.body)["problems"]) == (503, list(node.problems))


def test_metadata_is_public_and_nothing_else(node, port):
    assert ask(port, "GET", "/fhir/metadata", b"").status == 200
    assert node.seen[0].actor is None
    assert ask(port, "HEAD", "/fhir/metadata?mode=full", b"").status == 200
    node.seen.clear()
    for method, target in [
        ("POST", "/fhir/metadata"), ("GET", "/fhir/metadata/x"), ("GET", "/fhir"), ("GET", "/fhir/Patient"), ("GET", "/fhir/Metadata"),
        ("GET", "/fhir/%6detadata/1"), ("DELETE", "/fhir/Patient/1"), ("PUT", "/fhir/Patient/1"), ("PATCH", "/fhir/Patient/1"), ("GET", "/fhir/$everything"),
    ]:  # fmt: skip
        answer = ask(port, method, target, b"")
        assert (answer.status, answer.outcome) == (401, "token-missing")
        assert answer.headers["www-authenticate"] == 'Bearer realm="careledger"'
    middle = len(TOKEN) - 20  # within the signature, where every bit counts
    altered = TOKEN[:middle] + ("A" if TOKEN[middle] != "A" else "B") + TOKEN[middle + 1 :]
    forged = ask(port, "GET", "/fhir/Patient", f"Authorization: Bearer {altered}\r\n".encode())
    assert forged.status == 401
    assert 'error="invalid_token"' in forged.headers["www-authenticate"]
    assert not node.seen


def test_two_tokens_are_refused(node, port):
    for second in (BEARER, b"Authorization: Basic x\r\n", b"authorization: \r\n"):
        assert ask(port, "GET", "/fhir/Patient", BEARER + second).outcome == "header-repeated"
    assert not node.seen


def test_methods(node, port):
    head = ask(port, "HEAD", "/fhir/Patient/1")
    assert (head.status, head.body, node.seen[0].method) == (200, b"", "GET")
    assert int(head.headers["content-length"]) > 0
    options = ask(port, "OPTIONS", "/fhir/Patient", b"")
    assert (options.status, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST, PUT")
    node.seen.clear()
    for method in ("TRACE", "PROPFIND", "LINK", "PURGE"):
        answer = ask(port, method, "/fhir/Patient")
        assert (answer.status, answer.outcome) == (405, "method-not-allowed")
        assert "GET" in answer.headers["allow"]
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = ask(port, "GET", "/fhir/Patient/1", BEARER + f"{name}: DELETE\r\n".encode())
        assert (answer.status, answer.outcome) == (400, "method-override")
    assert not node.seen


def test_request_ids(node, port):
    sane = ask(port, "GET", "/fhir/Patient", BEARER + b"X-Request-Id: abc-1.2_3\r\n")
    assert sane.headers["x-request-id"] == "abc-1.2_3"
    made = ask(port, "GET", "/fhir/Patient")
    assert made.headers["x-request-id"] == node.seen[1].request_id.hex()
    for strange in (b"a b", b"a" * 65, b"<script>", b'"', b""):
        answer = ask(port, "GET", "/fhir/Patient", BEARER + b"X-Request-Id: " + strange + b"\r\n")
        assert answer.headers["x-request-id"] == node.seen[-1].request_id.hex()
    assert len({request.request_id for request in node.seen}) == len(node.seen)
    assert ask(port, "GET", "/none", b"X-Request-Id: e1\r\n").headers["x-request-id"] == "e1"


@pytest.mark.parametrize("error, status", [
    (errors.Invalid("m"), 400), (errors.TooLarge("m"), 413), (errors.NotFound("m"), 404), (errors.NotPermitted("m"), 403),
    (errors.Unauthenticated("m"), 401), (errors.Conflict("m"), 409), (errors.Unavailable("m"), 503), (errors.Corrupt("m"), 500),
    (errors.VerificationFailed("m"), 422), (errors.Misconfigured("m"), 500), (ValueError("Adell482 secret"), 500), (KeyError("Adell482"), 500),
    (RecursionError(), 500), (MemoryError(), 500), (ExceptionGroup("Adell482", [ValueError("x")]), 500),
])  # fmt: skip
def test_every_error_is_an_outcome_that_says_nothing_of_the_inside(node, port, error, status):
    node.raising = error
    answer = ask(port, "GET", "/fhir/Patient/1")
    assert answer.status == status
    assert answer.outcome
    issue = json.loads(answer.body)["issue"][0]
    assert issue["diagnostics"].startswith(issue["details"]["text"] + ". "), "every refusal says what to do"
    for inside in (b"Adell482", b"Traceback", b".py", b"ValueError", b"careledger."):
        assert inside not in answer.body
    assert (node.logged[-1].error is not None) == (status >= 500)
    assert ask(port, "GET", "/livez", b"").status == 200


def test_a_request_that_takes_too_long_is_ended():
    with serving(Node(seconds=30, limits={"request_seconds": 1})) as port:
        answer = ask(port, "GET", "/fhir/Patient")
    assert (answer.status, answer.outcome) == (504, "request-timeout")


def test_the_handlers_headers_are_not_changed(node, port):
    node.response = FhirResponse(200, [(b"content-type", b"application/fhir+json")], b"{}")
    for _ in range(3):
        ask(port, "GET", "/fhir/Patient")
    assert node.response.headers == [(b"content-type", b"application/fhir+json")]
    node.response = FhirResponse(304, [(b"etag", b'W/"1"')])
    assert "content-length" not in ask(port, "GET", "/fhir/Patient").headers


# Bodies.


def test_bodies_whole_and_chunked(node, port):
    assert json.loads(ask(port, "POST", "/fhir/Patient", body=b"x" * 150_000).body)["length"] == 150_000
    with Client(port) as client:
        client.send(
            b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + BEARER + b"\r\n"
        )
        for _ in range(10):
            client.send(b"5\r\nhello\r\n")
        assert json.loads(client.send(b"0\r\n\r\n").read().body)["length"] == 50
    assert node.seen[1].body == b"hello" * 10


def test_bombs_without_a_token_are_not_read(node, port):
    """401 as soon as the head is there; the body is neither awaited nor asked for, and the connection ends."""
    for length in (
        b"Content-Length: 60000000\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 10\r\nContent-Encoding: gzip\r\n",
    ):
        with Client(port) as client:
            client.send(b"POST /fhir HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n")
            answer = client.read()
            assert (answer.status, answer.outcome) == (401, "token-missing")
            assert answer.headers["connection"] == "close"
            assert client.closed()
    with Client(port) as client:
        client.send(
            b"POST /fhir HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 60000000\r\n\r\n"
        )
        assert client.read().status == 401, "no 100 Continue comes before the token is checked"
    with Client(port, seconds=4) as client:
        client.send(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n")
        sent = 0
        try:
            for _ in range(600):
                client.send(b"[" * 100_000)
                sent += 100_000
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 30_000_000, "the server stopped reading"
    assert not node.seen


def test_the_client_can_read_the_refusal_of_a_body_it_is_sending(node, port):
    for _ in range(5):
        answer = ask(port, "POST", "/fhir/Patient", b"", b"x" * 50_000)
        assert answer.outcome == "token-missing"


@pytest.mark.parametrize("length", [b"200001", b"99999999999", b"999999999999999"])
def test_declared_too_long_is_413_before_reading(node, port, length):
    with Client(port) as client:
        client.send(
            b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n" + BEARER + b"\r\n"
        )
        answer = client.read()
    assert (answer.status, answer.outcome) == (413, "too-large")
    assert not node.seen


def test_a_known_caller_reads_413_after_sending_all_of_it(node, port):
    body = b"x" * 600_000  # three times the limit; most libraries send all of it before they read
    with Client(port) as client:
        length = b"Content-Length: %d\r\n" % len(body)
        client.send(b"POST /fhir HTTP/1.1\r\nHost: x\r\n" + length + BEARER + b"\r\n")
        for start in range(0, len(body), 20_000):
            client.send(body[start : start + 20_000])
            time.sleep(0.002)  # the refusal is under way meanwhile
        answer = client.read()
    assert (answer.status, answer.outcome) == (413, "too-large")
    assert not node.seen


def test_chunked_is_counted(node, port):
    with Client(port) as client:
        client.send(b"POST /fhir HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + BEARER + b"\r\n")
        for _ in range(21):
            client.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        answer = client.read()
    assert (answer.status, answer.outcome) == (413, "too-large")
    assert not node.seen


def test_a_body_that_does_not_come_is_given_up():
    node = Node(limits={"body_seconds": 1})
    with serving(node) as port, Client(port) as client:
        client.send(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n" + BEARER + b"\r\nonly this")
        answer = client.read()
        assert (answer.status, answer.outcome) == (408, "body-timeout")
        assert client.closed()
    assert not node.seen


class NeverAsked:
    """An `/api` of one address that takes a body."""

    def methods(self, path: str) -> frozenset[str]:
        return frozenset(("POST",))

    def template(self, path: str) -> str:
        return path

    def is_open(self, path: str) -> bool:
        return False

    async def handle(self, request: ApiRequest) -> FhirResponse:
        raise AssertionError("the body never came")


def test_a_body_to_the_api_that_does_not_come_is_given_up():
    node = Node(limits={"body_seconds": 1}, api=NeverAsked())
    with serving(node) as port, Client(port, seconds=10) as client:
        client.send(b"POST /api/it HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n" + BEARER + b"\r\nonly")
        answer = client.read()
        assert (answer.status, json.loads(answer.body)["code"]) == (408, "body-timeout")
        assert client.closed()


def test_a_client_that_leaves_early_is_no_error(node, port):
    with Client(port) as client:
        client.send(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n" + BEARER + b"\r\nonly this")
    assert ask(port, "GET", "/livez", b"").status == 200
    assert not node.seen


def test_methods_without_a_body_take_none(node, port):
    for method in ("GET", "HEAD", "DELETE"):
        answer = ask(port, method, "/fhir/Patient/1", body=b"{}")
        assert answer.status == 400
    assert not node.seen


def test_gzip_bodies(node, port):
    text = b"{}" * 40_000
    packed = gzip.compress(text)
    headers = BEARER + b"Content-Encoding: gzip\r\n"
    assert json.loads(ask(port, "POST", "/fhir/Patient", headers, packed).body)["length"] == 80_000
    assert node.seen[0].body == text
    node.seen.clear()
    bomb = gzip.compress(bytes(50_000_000), 9)
    cases = [
        (b"gzip", bomb, 413),
        (b"gzip", packed[:-9], 400),
        (b"gzip", packed[: len(packed) // 2], 400),
        (b"gzip", packed + b"x", 400),
        (b"gzip", packed + packed, 400),
        (b"gzip", b"{}", 400),
        (b"gzip", zlib.compress(text), 400),
        (b"gzip", packed[:-8] + bytes(8), 400),
        (b"gzip", bomb + bomb, 413),
        (b"deflate", zlib.compress(text), 415),
        (b"br", b"x", 415),
        (b"gzip, gzip", gzip.compress(packed), 415),
    ]
    for encoding, body, status in cases:
        answer = ask(port, "POST", "/fhir/Patient", BEARER + b"Content-Encoding: " + encoding + b"\r\n", body)
        assert (answer.status, bool(answer.outcome)) == (status, True)
    assert not node.seen


def test_answers_are_compressed_only_if_configured_and_asked():
    body = b'{"a":"b"}' * 2000
    asks = BEARER + b"Accept-Encoding: gzip, deflate\r\n"
    node = Node(limits={"gzip_responses": True}, response=FhirResponse(200, [], body))
    with serving(node) as port:
        packed = ask(port, "GET", "/fhir/Patient", asks)
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == body
        for accept in (b"", b"Accept-Encoding: gzip; q=0\r\n", b"Accept-Encoding: br\r\n"):
            assert ask(port, "GET", "/fhir/Patient", BEARER + accept).body == body
    assert (node.started, node.stopped) == (1, 1)
    node = Node(response=FhirResponse(200, [], body))
    with serving(node) as port:
        assert ask(port, "GET", "/fhir/Patient", asks).body == body
