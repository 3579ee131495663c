"""What bad input gets: the right status, an OperationOutcome without what was sent, nothing written, nothing lost."""

from __future__ import annotations

import json
import socket

import pytest

from tests.e2e.conftest import Loaded

CANARY = "Kanarienvogel"
DEEP, MANY = 10**6, 10**6
CPU_LIMIT_S = 2.0
"""Of the server's processor time; the worst of these takes 40 ms."""


def patient(more: str) -> bytes:
    return f'{{"resourceType":"Patient","name":[{{"family":"{CANARY}"}}]{more}}}'.encode()


BODIES: list[tuple[str, bytes, int]] = [
    ("malformed", patient("")[:-3], 400),
    ("empty", b"", 400),
    ("array", b"[]", 400),
    ("null", b"null", 400),
    ("nan", patient(',"multipleBirthInteger":NaN'), 400),
    ("infinity", patient(',"multipleBirthInteger":-Infinity'), 400),
    ("too-large-a-number", patient(',"multipleBirthInteger":1e400'), 400),
    ("5000-digits", patient(',"multipleBirthInteger":' + "9" * 5000), 400),
    ("leading-zero", patient(',"multipleBirthInteger":01'), 400),
    ("one-property-twice", patient(',"gender":"male","gender":"female"'), 400),
    ("one-property-twice-escaped", patient(',"gender":"male","g\\u0065nder":"female"'), 400),
    ("one-property-twice-inside", patient(',"maritalStatus":{"text":"a","text":"b"}'), 400),
    ("lone-surrogate", patient(',"language":"\\ud800"'), 400),
    ("lone-low-surrogate", patient(',"language":"\\udc00x"'), 400),
    ("not-utf8", b'{"resourceType":"Patient","language":"\xff"}', 400),
    ("byte-order-mark", b"\xef\xbb\xbf" + patient(""), 400),
    ("utf16", patient("").decode().encode("utf-16"), 400),
    ("trailing-bytes", patient("") + b"{}", 400),
    ("control-character", patient(',"language":"a\x01b"'), 400),
    ("deep-array", b'{"resourceType":"Patient","name":' + b"[" * DEEP + b"]" * DEEP + b"}", 400),
    ("deep-object", b'{"resourceType":"Patient","contact":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", 400),
    ("deep-and-open", b"[" * DEEP, 400),
    ("many-keys", b'{"resourceType":"Patient",' + b",".join(b'"k%d":1' % n for n in range(MANY)) + b"}", 400),
    ("null-value", patient(',"gender":null'), 400),
    ("another-type", b'{"resourceType":"Observation"}', 400),
    ("no-type", b'{"name":[]}', 400),
    ("unknown-property", patient(f',"{CANARY}":1'), 422),
    ("empty-array", patient(',"identifier":[]'), 422),
    ("empty-object", patient(',"maritalStatus":{}'), 422),
    ("code", patient(f',"gender":"{CANARY}"'), 422),
    ("date", patient(',"birthDate":"1999-02-30"'), 422),
    ("two-of-a-choice", patient(',"deceasedBoolean":true,"deceasedDateTime":"2000"'), 422),
    ("reference-type", patient(f',"managingOrganization":{{"reference":"Patient/{CANARY}"}}'), 422),
    ("id-of-65", patient(f',"id":"{"a" * 65}"'), 422),
    ("script", patient(',"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><script>1</script></div>"}'), 422),
]  # fmt: skip

ADDRESSES: list[tuple[str, str, int]] = [
    ("GET", "Patient/" + "a" * 65, 400),
    ("PUT", "Patient/" + "a" * 65, 400),
    ("GET", "Patient/a_b", 400),
    ("GET", "Frob", 404),
    ("GET", "Frob/1", 404),
    ("GET", "Patient/none", 404),
    ("GET", "Patient/none/_history/x", 404),
    ("GET", "Patient/none/$everything", 404),
    ("GET", "Patient/none/$frob", 501),
    ("GET", "", 501),
    ("PATCH", "Patient/none", 405),
    ("DELETE", "Patient", 412),
    ("GET", "Patient?_count=-1", 400),
    ("GET", "Patient?birthdate=" + CANARY, 400),
    ("GET", "Patient?birthdate=2020-13", 400),
    ("GET", "RiskAssessment?probability=" + CANARY, 400),
    ("GET", "Observation?value-quantity=NaN", 400),
    ("GET", "Observation?value-quantity=" + "9" * 5000, 400),
    ("GET", "Observation?value-quantity=1e999999", 400),
    ("GET", "Observation?patient=a/b/c/d", 400),
    ("GET", "Patient?_id=a_b", 400),
    ("GET", "Patient?_lastUpdated=" + CANARY, 400),
    ("GET", "Patient?gender:missing=" + CANARY, 400),
    ("GET", "Patient?gender:frob=male", 400),
    ("GET", "Patient?_summary=" + CANARY, 400),
    ("GET", "Patient?_total=" + CANARY, 400),
    ("GET", "Patient?_include=" + CANARY, 400),
    ("GET", "Patient?_cursor=" + CANARY, 400),
    ("GET", "Patient?_page=" + CANARY, 400),
    ("GET", "Patient?name=%ff", 400),
    ("GET", "Patient?" + "&".join(["name=a"] * 65), 400),
    ("GET", "Patient?_id=" + ",".join(f"a{n}" for n in range(2000)), 400),
    ("GET", "Patient?name=" + "a" * 100_000, 414),
    ("GET", "Patient/%2e%2e/x", 400),
    ("GET", "Patient/_history?_since=" + CANARY, 400),
]


def compute_state(loaded: Loaded) -> tuple[int, int]:
    """What a write would change. (Not the height: the access log is anchored each second.)"""
    status = loaded.node.command("status")
    return status["charts"], status["resources"]


@pytest.mark.parametrize(("body", "status"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_bad_bodies(loaded: Loaded, body: bytes, status: int) -> None:
    before, start = compute_state(loaded), loaded.node.cpu_seconds()
    for path in ("Patient", "") if body[:1] != b"{" else ("Patient",):
        answer = loaded.caller.post(path, body)
        assert loaded.node.cpu_seconds() - start < CPU_LIMIT_S
        assert answer.status == status, answer.body[:300]
        assert answer.headers["content-type"].startswith("application/fhir+json")
        issue = answer.json["issue"][0]
        assert issue["severity"] in ("error", "fatal")
        assert issue["diagnostics"]
        assert CANARY.encode() not in answer.body
    if status == 422:
        assert issue["expression"][0].startswith("Patient")
    assert compute_state(loaded) == before


@pytest.mark.parametrize(
    ("method", "path", "status"), ADDRESSES, ids=[f"{m} {p[:40]}" for m, p, _ in ADDRESSES]
)
def test_bad_addresses(loaded: Loaded, method: str, path: str, status: int) -> None:
    before = compute_state(loaded)
    answer = loaded.caller.call(method, path, {"resourceType": "Patient"} if method == "PUT" else None)
    assert answer.status == status, answer.body[:300]
    assert answer.json["resourceType"] == "OperationOutcome"
    assert CANARY.encode() not in answer.body
    assert compute_state(loaded) == before


@pytest.mark.parametrize(
    ("query", "code", "place"),
    [
        ("Patient?birthdate=x", "value", "birthdate"),
        ("Patient?_count=x", "value", "_count"),
        ("Observation?value-quantity=x", "value", "value-quantity"),
        ("Patient?_id=a_b", "value", "_id"),
        ("Patient/_history?_since=x", "value", "_since"),
        ("Observation?subject.name=x", "not-supported", ""),
        ("Patient?_id=" + ",".join(f"a{n}" for n in range(2000)), "too-costly", ""),
    ],
)
def test_a_search_value_is_refused_with_kind_place_and_hint(
    loaded: Loaded, query: str, code: str, place: str
) -> None:
    issue = loaded.caller.get(query).json["issue"][0]
    assert (issue["code"], issue.get("expression", [""])) == (code, [place])
    assert "hint: " in issue["diagnostics"]


def test_unknown_parameters_and_huge_counts(loaded: Loaded) -> None:
    """Unknown parameters: left out if lenient, 400 if strict. A huge _count is cut, not obeyed."""
    c = loaded.caller
    lenient = c.get("Patient?frobnicate=1&_count=1")
    assert lenient.status == 200
    assert "frobnicate" not in json.dumps(lenient.json["link"])
    assert c.get("Patient?frobnicate=1", Prefer="handling=strict").status == 400
    assert len(c.get("Observation?_count=1000000000").ids) <= 1000


def test_bundles_over_the_limits(loaded: Loaded) -> None:
    """10^5 entries are refused before any is looked at."""
    before = compute_state(loaded)
    entry = (
        b'{"request":{"method":"POST","url":"Basic"},"resource":{"resourceType":"Basic","code":{"text":"x"}}}'
    )
    many = b'{"resourceType":"Bundle","type":"transaction","entry":[' + b",".join([entry] * 100_000) + b"]}"
    answer = loaded.caller.post("", many)
    assert (answer.status, answer.json["issue"][0]["code"]) == (413, "too-costly")
    assert compute_state(loaded) == before


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_over_64_mb(loaded: Loaded, chunked: bool) -> None:
    size = 65 * 1024 * 1024
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {loaded.caller.token}\r\n"
    piece = b" " * 65536
    with socket.create_connection(("127.0.0.1", loaded.node.port), timeout=30) as client:
        client.sendall(f"{head}Content-Type: application/fhir+json\r\n{length}\r\n\r\n".encode())
        try:
            for _ in range(size // len(piece) + 1 if chunked else 4):
                client.sendall(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
        except OSError:
            pass  # it answered and closed: that is allowed
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")


def test_still_healthy(loaded: Loaded) -> None:
    """After all of that the node is ready and every stored byte is as it was committed."""
    assert loaded.caller.call("GET", "/readyz", prefix="").status == 200
    assert loaded.node.command("fsck")["problems"] == []
