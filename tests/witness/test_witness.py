"""A witness signs one history: every refusal of the protocol, forks and rollbacks, and its word across restarts."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careledger.ledger.checkpoint import parse_note, verify_cosignature
from careledger.ledger.witnessing import (
    REQUEST_BYTES_MAX,
    WitnessKey,
    decode_cosignatures,
    decode_submission,
    encode_submission,
    parse_witness_key,
)
from careledger.primitives.errors import CareLedgerError, Conflict, Corrupt, Invalid, VerificationFailed
from careledger.primitives.signing import ed25519_public_key
from careledger.witness import folder as folders
from careledger.witness.app import create_app
from careledger.witness.folder import WitnessFolder
from careledger.witness.overview import describe
from careledger.witness.witness import Answer, Witness
from tests.witness.logs import OperatorLog

SEED = bytes(range(32))
KEY = WitnessKey("witness.test", ed25519_public_key(SEED))
NOW_S = 1_800_000_000


def make(path, *logs: OperatorLog) -> Witness:
    WitnessFolder.create(path, KEY, b"sealed")
    witness = open_again(path)
    for log in logs:
        witness.follow(log.file())
    return witness


def open_again(path) -> Witness:
    return Witness(WitnessFolder.open(path), SEED, lambda: NOW_S)


def check_cosigned(answer: Answer, note: str) -> None:
    assert answer.status == 200, answer
    (line,) = decode_cosignatures(answer.body.encode())
    assert verify_cosignature(parse_note(note).with_signature(line), KEY.name, KEY.public) == NOW_S


def head(path) -> int:
    (log,) = describe(WitnessFolder.open(path))["logs"]
    return int(log["size"])


def test_what_continues_is_signed_and_kept(tmp_path):
    log = OperatorLog().grow(3)
    witness = make(tmp_path / "w", log)
    check_cosigned(witness.add_checkpoint(log.grow(4).offer(3)), log.note())
    check_cosigned(witness.add_checkpoint(log.offer(7)), log.note())  # again: the same checkpoint
    assert head(tmp_path / "w") == 7
    other = OperatorLog("hospital").grow(2)
    assert witness.add_checkpoint(other.offer(1)).status == 404
    witness.follow(other.file())
    check_cosigned(witness.add_checkpoint(other.grow(1).offer(2)), other.note())


def other_keys(log: OperatorLog) -> bytes:
    forged = OperatorLog("mallory", list(log.leaves))
    forged.origin = log.origin
    return encode_submission(5, log.path(5), forged.note())


REFUSALS = {
    "empty": (lambda log: b"", 400),
    "no old line": (lambda log: b"\n\n" + log.note().encode(), 400),
    "old with a leading zero": (lambda log: log.offer(5).replace(b"old 5", b"old 05"), 400),
    "old negative": (lambda log: log.offer(5).replace(b"old 5", b"old -5"), 400),
    "a path line that is no digest": (lambda log: log.offer(5).replace(b"old 5\n", b"old 5\nAAAA\n"), 400),
    "a path line with loose bits": (
        lambda log: log.offer(5).replace(b"old 5\n", b"old 5\n" + b"A" * 42 + b"B=\n"), 400,
    ),
    "64 path lines": (lambda log: encode_submission(5, [bytes(32)] * 64, log.note()), 400),
    "carriage returns": (lambda log: log.offer(5).replace(b"\n", b"\r\n"), 400),
    "not UTF-8": (lambda log: log.offer(5) + b"\xff", 400),
    "too long": (lambda log: log.offer(5) + b"x" * REQUEST_BYTES_MAX, 400),
    "a note without signatures": (
        lambda log: encode_submission(5, log.path(5), log.checkpoint().text() + "\n"), 400,
    ),
    "old above the size": (lambda log: encode_submission(9, [], log.note()), 400),
    "another ledger": (lambda log: OperatorLog("hospital").grow(8).offer(5), 404),
    "an origin that is a path": (
        lambda log: log.offer(5).replace(log.origin.encode(), b"careledger/../../x"), 404,
    ),
    "an origin of another kind": (lambda log: log.offer(5).replace(log.origin.encode(), b"example.org/log"), 404),
    "signed by others": (other_keys, 403),
    "signed with one of two keys": (
        lambda log: encode_submission(5, log.path(5), log.sign(log.checkpoint(), both=False).note()), 403,
    ),
    "another size under the signature": (
        lambda log: log.offer(5).replace(b"\n8\n", b"\n9\n"), 403,
    ),
    "an older size of the witness's": (lambda log: log.offer(4), 409),
    "old zero": (lambda log: encode_submission(0, [], log.note()), 409),
    "a checkpoint that is older": (lambda log: encode_submission(3, log.path(3, 4), log.note(4)), 409),
    "a path too short": (lambda log: encode_submission(5, log.path(5)[:-1], log.note()), 422),
    "a path too long": (lambda log: encode_submission(5, [*log.path(5), bytes(32)], log.note()), 422),
    "no path": (lambda log: encode_submission(5, [], log.note()), 422),
    "a path for the same size": (lambda log: encode_submission(5, [bytes(32)], log.note(5)), 422),
    "another root of the same size": (lambda log: log.fork(2, 3).offer(5), 409),
    "a fork that is longer": (lambda log: log.fork(2, 6).offer(5), 422),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_signs_nothing(tmp_path, name):
    log = OperatorLog().grow(5)
    witness = make(tmp_path / "w", log)
    log.grow(3)
    make_body, status = REFUSALS[name]
    before = (tmp_path / "w" / "logs" / log.chain / "latest").read_bytes()
    answer = witness.add_checkpoint(make_body(log))
    assert answer.status == status, answer
    assert "—" not in answer.body
    if status == 409:
        assert (answer.body, answer.content_type) == ("5\n", "text/x.tlog.size")
    assert (tmp_path / "w" / "logs" / log.chain / "latest").read_bytes() == before
    check_cosigned(witness.add_checkpoint(log.offer(5)), log.note())


def test_lines_of_unknown_keys_are_ignored_and_not_kept(tmp_path):
    log = OperatorLog().grow(5)
    witness = make(tmp_path / "w", log)
    stranger = OperatorLog("stranger")
    line = stranger.sign(log.grow(1).checkpoint(), both=False).signatures[0]
    note = parse_note(log.note()).with_signature(line).note()
    check_cosigned(witness.add_checkpoint(encode_submission(5, log.path(5), note)), log.note())
    assert "stranger" not in (tmp_path / "w" / "logs" / log.chain / "latest").read_text()
    assert stranger.origin not in (tmp_path / "w" / "logs" / log.chain / "latest").read_text()


@pytest.mark.parametrize(
    "size, offered, proven", [(5, 5, True), (5, 9, True), (8, 12, False), (6, 1 << 5, True)]
)
def test_a_fork_is_refused_and_both_heads_are_shown(tmp_path, size, offered, proven):
    log = OperatorLog().grow(size)
    witness = make(tmp_path / "w", log)
    other = log.fork(2, offered - 2)
    assert witness.add_checkpoint(other.offer(size)).status in (409, 422)
    assert witness.add_checkpoint(other.offer(size)).status in (409, 422)  # kept once
    witness.close()
    for _ in range(2):  # as it is, and as the next process finds it
        shown = describe(WitnessFolder.open(tmp_path / "w"))
        (fork,) = shown["logs"][0]["forks"]
        assert shown["forked"]
        assert (fork["signed"]["size"], fork["refused"]["size"], fork["proven"]) == (size, offered, proven)
        open_again(tmp_path / "w").close()


def test_a_wrong_path_by_anybody_accuses_nobody_for_long(tmp_path):
    """Receipts hold signed notes: their readers could send one with a path of their own making."""
    log = OperatorLog().grow(5)
    witness = make(tmp_path / "w", log)
    log.grow(2)
    assert (
        witness.add_checkpoint(encode_submission(5, [bytes(32)] * len(log.path(5)), log.note())).status == 422
    )
    check_cosigned(witness.add_checkpoint(log.grow(1).offer(5)), log.note())
    shown = describe(WitnessFolder.open(tmp_path / "w"))
    assert not shown["forked"]
    assert [fork["open"] for fork in shown["logs"][0]["forks"]] == [False]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_it_signs_is_one_history(tmp_path_factory, data):
    """Branches that grow, rollbacks, restarts, in any order: the signed checkpoints are prefixes of each other."""
    path = tmp_path_factory.mktemp("w") / "w"
    trunk = OperatorLog().grow(data.draw(st.integers(1, 6)))
    witness = make(path, trunk)
    branches = [trunk]
    signed: dict[int, bytes] = {len(trunk.leaves): trunk.checkpoint().root}
    for _ in range(data.draw(st.integers(1, 12))):
        log = data.draw(st.sampled_from(branches))
        step = data.draw(st.sampled_from(["grow", "fork", "offer", "offer", "offer", "restart"]))
        if step == "grow":
            log.grow(data.draw(st.integers(1, 5)))
        elif step == "fork" and len(branches) < 4:
            branches.append(
                log.fork(data.draw(st.integers(1, len(log.leaves))), data.draw(st.integers(1, 5)))
            )
        elif step == "restart":
            witness.close()
            witness = open_again(path)
        elif step == "offer":
            size = data.draw(st.integers(1, len(log.leaves)))
            answer = witness.add_checkpoint(log.offer(min(max(signed), size), size))
            if answer.status == 200:
                assert size >= max(signed)
                assert signed.setdefault(size, log.checkpoint(size).root) == log.checkpoint(size).root
                assert all(log.checkpoint(at).root == root for at, root in signed.items())
    witness.close()


def test_nothing_is_answered_before_it_is_durable(tmp_path, monkeypatch):
    """A full disk, or one that fails while syncing: nothing is signed, and what was signed stays."""
    log = OperatorLog().grow(5)
    witness = make(tmp_path / "w", log)
    log.grow(2)

    def fail(descriptor: int) -> None:
        raise OSError(5, "the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(folders.os, "fsync", fail)
        with pytest.raises(OSError):
            witness.add_checkpoint(log.offer(5))
    witness.close()
    assert head(tmp_path / "w") == 5
    check_cosigned(open_again(tmp_path / "w").add_checkpoint(log.offer(5)), log.note())


def test_the_order_is_write_then_sign(tmp_path, monkeypatch):
    log = OperatorLog().grow(5)
    witness = make(tmp_path / "w", log)
    log.grow(2)
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        folders.os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor))[1]
    )
    check_cosigned(witness.add_checkpoint(log.offer(5)), log.note())
    assert len(synced) == 2  # the file and its folder
    assert (tmp_path / "w" / "logs" / log.chain / "latest").read_text().startswith(log.checkpoint().text())


@pytest.mark.parametrize(
    "name, damage",
    [(name, damage) for name in ("latest", "trust") for damage in ("remove", "flip", "another")]
    + [("latest", "not signed here")],
)
def test_a_witness_that_lost_its_word_does_not_start(tmp_path, name, damage):
    log = OperatorLog().grow(5)
    make(tmp_path / "w", log).close()
    path = tmp_path / "w" / "logs" / log.chain / name
    if damage == "remove":
        path.unlink()
    elif damage == "flip":
        path.write_bytes(path.read_bytes().replace(b"A", b"B", 1))
    elif damage == "not signed here":
        path.write_text(log.fork(2, 1).note())
    else:
        other = OperatorLog("hospital").grow(5)
        path.write_bytes(other.file() if name == "trust" else other.note().encode())
    with pytest.raises(Corrupt):
        open_again(tmp_path / "w")


def test_only_one_process_signs(tmp_path):
    witness = make(tmp_path / "w")
    with pytest.raises(Conflict):
        open_again(tmp_path / "w")
    witness.close()
    open_again(tmp_path / "w").close()


def test_a_ledger_is_followed_only_by_its_own_checkpoint(tmp_path):
    log = OperatorLog().grow(5)
    witness = make(tmp_path / "w")
    with pytest.raises(VerificationFailed):
        witness.follow(log.file().replace(b"embedded", b"embeddee"))
    forged = OperatorLog("mallory").grow(5)
    forged.origin, forged.chain = log.origin, log.chain
    witness.follow(log.file())
    witness.follow(log.file(3))  # known already: an older file changes nothing
    assert head(tmp_path / "w") == 5
    with pytest.raises(Conflict):
        witness.follow(forged.file())


def test_keys_as_text_come_back():
    assert parse_witness_key(KEY.text) == KEY
    for text in ("", "a", KEY.text + "x", KEY.text.replace("witness", "Witness"), "a b+00000000+BAAA"):
        with pytest.raises(Invalid):
            parse_witness_key(text)


@settings(max_examples=60)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_strange_bytes_are_refused_by_name(data):
    for decode in (decode_submission, decode_cosignatures):
        try:
            decode(data)
        except CareLedgerError:
            continue


async def ask(app, method: str, path: str, *parts: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    waiting = [
        {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
        for i, part in enumerate(parts)
    ]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": method, "path": path}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_over_http_there_is_one_request(tmp_path):
    log = OperatorLog().grow(5)
    app = create_app(make(tmp_path / "w", log))
    body = log.grow(1).offer(5)
    status, headers, _ = asyncio.run(
        ask(app, "POST", "/add-checkpoint", encode_submission(1, [], log.note()))
    )
    assert (status, headers[b"content-type"]) == (409, b"text/x.tlog.size")
    status, _, text = asyncio.run(ask(app, "POST", "/add-checkpoint", body[:100], body[100:]))
    check_cosigned(Answer(status, text.decode()), log.note())
    assert asyncio.run(ask(app, "GET", "/add-checkpoint", b""))[0] == 405
    assert asyncio.run(ask(app, "POST", "/", b""))[0] == 404
    assert asyncio.run(ask(app, "POST", "/add-checkpoint", *[bytes(60_000)] * 3))[0] == 413
