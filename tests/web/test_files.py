"""The web application's files: what is there, under which policy, and that nothing else can be reached through them."""

from __future__ import annotations

import re

import pytest

from careledger.web.files import POLICY, AppFiles, make_file
from tests.web.support import Node, ask, serving

PAGES = ("/", "/app", "/app/record", "/app/chart", "/explorer", "/explorer/blocks/7")
NOT_OURS = (
    "/assets/", "/assets/..", "/assets/../index.html", "/assets/%2e%2e/index.html", "/assets/a/b.js", "/index.html",
    "/stamp", "/people.js", "/apple", "/explorers", "/assets/" + "a" * 101, "/sw.js.br", "/assets/x.py", "//app",
)  # fmt: skip


@pytest.fixture(scope="module")
def port():
    with serving(Node()) as port:
        yield port


@pytest.mark.parametrize("path", PAGES)
def test_the_page_loads_nothing_but_our_files_and_stands_in_no_frame(port, path):
    answer = ask(port, "GET", path)
    assert answer.status == 200
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-cache"
    page = answer.body.decode()
    assert not re.search(r"<style|style=|javascript:|\son\w+=|<script(?![^>]*src=)", page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/"), address
        assert ask(port, "GET", address).status == 200 or address == "/ui/icon.svg"


def test_the_policy_allows_no_code_from_strings_and_no_other_origin():
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_files_are_packed_kept_and_asked_for_again_by_their_hash(port):
    page = ask(port, "GET", "/").body.decode()
    script = re.search(r'src="(/assets/[^"]+\.js)"', page)[1]
    plain = ask(port, "GET", script)
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    packed = ask(port, "GET", script, b"accept-encoding: gzip, br\r\n")
    assert packed.headers["content-encoding"] == "br"
    assert packed.headers["vary"] == "accept-encoding"
    assert 0 < len(packed.body) < len(plain.body) / 2
    known = b"if-none-match: " + plain.headers["etag"].encode() + b"\r\n"
    assert ask(port, "GET", script, known).status == 304
    assert ask(port, "HEAD", script).body == b""
    assert ask(port, "POST", script).status == 405
    assert ask(port, "GET", "/sw.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", NOT_OURS)
def test_nothing_else_is_a_file(port, path):
    assert ask(port, "GET", path).status in (400, 404)


def test_where_a_code_ends_there_is_nothing(port):
    answer = ask(port, "GET", "/app/callback?code=x&state=y")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_files_are_those_of_the_build_and_its_service_worker_names_no_other():
    files = AppFiles()
    worker = files.find("/sw.js").plain.decode()
    named = set(re.findall(r"/assets/[\w.-]+", worker)) - {"/assets/"}
    assert named
    assert all(files.find(name) is not None for name in named)
    assert not re.search(r"/fhir|/api|/oauth|/me\b", worker)


def test_a_file_says_what_it_is():
    made = make_file("assets/a.js", b"1", b"")
    assert dict(made.headers)[b"content-type"] == b"text/javascript;charset=utf-8"
    assert (
        b"content-security-policy",
        POLICY.encode(),
    ) in made.headers  # a worker obeys its own file's policy
