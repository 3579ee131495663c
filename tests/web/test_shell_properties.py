"""Whatever comes, the shell answers once, with a known status and an OperationOutcome, and never asks FHIR unasked."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from careledger.primitives.errors import Invalid
from careledger.web.app import create_app
from careledger.web.files import AppFiles
from careledger.web.target import parse_query, split_path
from tests.web.support import TOKEN, Node

NODE = Node()
FILES = AppFiles()
APP = create_app(NODE.services())
AUTHORIZED = (b"authorization", f"Bearer {TOKEN}".encode())
paths = st.one_of(
    st.binary(max_size=40).map(lambda raw: b"/fhir/" + raw),
    st.lists(
        st.sampled_from([b"fhir", b"Patient", b"metadata", b"..", b"%2e", b"%2F", b"", b"$x", b"%", b"1"]),
        max_size=6,
    ).map(lambda parts: b"/" + b"/".join(parts)),
)
headers = st.lists(
    st.tuples(
        st.sampled_from([b"authorization", b"content-length", b"transfer-encoding", b"content-encoding", b"x-request-id", b"x-http-method", b"if-match", b"accept"]),
        st.one_of(st.binary(max_size=12), st.sampled_from([b"gzip", b"chunked", b"0", b"3", b"Bearer a.b.c", AUTHORIZED[1]])),
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "x"]),
    paths, st.binary(max_size=30), headers, st.booleans(), st.binary(max_size=20),
)  # fmt: skip
def test_any_request_gets_one_decent_answer(method, path, query, fields, authorized, body):
    NODE.seen.clear()
    sent = []
    given_fields = [*fields, AUTHORIZED] if authorized else fields

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "",
        "raw_path": path,
        "query_string": query,
        "headers": given_fields,
    }
    asyncio.run(APP(scope, receive, send))
    assert [message["type"] for message in sent[:2]] == ["http.response.start", "http.response.body"]
    status = sent[0]["status"]
    answered = dict(sent[0]["headers"])
    assert status in (200, 204, 400, 401, 404, 405, 413, 415)
    is_page = (
        status == 200 and FILES.find(path.decode("latin-1")) is not None
    )  # of nobody: kept, asked for anew
    assert answered[b"cache-control"] == (b"no-cache" if is_page else b"no-store")
    assert answered[b"x-content-type-options"] == b"nosniff"
    if status >= 400 and method != "HEAD":
        assert json.loads(sent[1]["body"])["resourceType"] == "OperationOutcome"
    for request in NODE.seen:
        assert request.actor is not None or (request.method, request.path) == ("GET", ("metadata",))
        assert len(request.body) <= 20


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_targets_decode_to_clean_text_or_not_at_all(raw):
    try:
        segments = split_path(raw)
    except Invalid:
        pass
    else:
        assert all(
            segment and segment not in (".", "..") and "/" not in segment and segment.isascii()
            for segment in segments
        )
        assert split_path(b"/" + "/".join(segments).encode()) == segments
    try:
        pairs = parse_query(raw)
    except Invalid:
        return
    assert all("\x00" not in name + value for name, value in pairs)
