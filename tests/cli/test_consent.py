"""`careledger patient` and `consent` on a real home, served and stopped: her key stays in her file and in this process."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from careledger.access.directives import compute_key_id
from careledger.access.patient_keys import PatientKey
from careledger.cli import calls
from careledger.cli.run import run
from careledger.contracts.consent import ENTRY, Entry
from careledger.node import client
from tests.faults.killing import serving
from tests.faults.rig import PASSPHRASE, new_home, node_of, observation, patient
from tests.fhir.deciding import caller
from tests.ledger.passkeys import Passkey
from tests.node.consenting import ELSEWHERE
from tests.node.passkey_device import PasskeyDevice

Call = Callable[..., tuple[int, str, str]]
TERMS = ("--to", ELSEWHERE, "--purpose", "TREAT", "--until", "2999-12-31")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(words…)` runs one command and gives (exit code, stdout, stderr); grants do not wait."""
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARELEDGER_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.setenv("CARELEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARELEDGER_CONSENT__GRANT_DELAY_SECONDS", "0")

    def run_one(*words: str) -> tuple[int, str, str]:
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


def new_node(path: Path) -> Path:
    home = new_home(path)
    with node_of(home) as node:
        for name in ("anna", "berta"):
            node.client.put(f"Patient/{name}", patient(name))
        node.client.put("Observation/pulse", observation("pulse", "anna", 70))
    return home


@pytest.fixture
def home(tmp_path: Path, call: Call) -> Path:
    """A stopped home."""
    return new_node(tmp_path / "home")


@pytest.fixture(params=["stopped", "served"])
def either(request: pytest.FixtureRequest, tmp_path: Path, call: Call) -> Iterator[Path]:
    path = new_node(tmp_path / "home")
    with serving(path, 1) if request.param == "served" else nullcontext():
        assert client.is_served(path) == (request.param == "served")
        yield path


def done(call: Call, *words: str) -> str:
    """Stdout of a command that succeeds."""
    code, out, err = call(*words)
    assert code == 0, err
    return out


def listed(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(call, "consent", "list", "anna", "--json"))["directives"]
    return found


def test_a_patient_decides(call: Call, either: Path, tmp_path: Path) -> None:
    done(call, "patient", "enrol", "Patient/anna", "--key-out", "anna.key")
    code, out, err = call("consent", "grant", "anna", *TERMS, "--key", "anna.key")
    assert code == 0
    first = out.strip()
    assert out == first + "\n"
    assert len(first) == 64
    assert f"{ELSEWHERE} is not on this ledger: taken for an organisation" in err
    printed = err.partition("revocation code, to be kept on paper: ")[2].split()[0]
    made = json.loads(
        done(
            call,
            "consent",
            "supersede",
            first,
            *TERMS,
            "--type",
            "Observation",
            "--key",
            "anna.key",
            "--json",
        )
    )
    assert made["supersedes"] == first
    assert [(one["id"], one["status"], one["bound"]) for one in listed(call)] == [
        (first, "revoked", True), (made["id"], "active", True),
    ]  # fmt: skip
    assert call("consent", "revoke", first, "--code", printed)[0] == 5
    kept = tmp_path / "code"
    kept.write_text(made["code"] + "\n")
    assert done(call, "consent", "revoke", made["id"], "--code", f"@{kept}") == f"revoked {made['id']}\n"
    assert "revoked" in done(call, "consent", "list", "anna")
    log = json.loads(done(call, "access-log", "anna", "--json"))["entries"]
    assert {entry["kind"] for entry in log} == {"consents", "copy-key"}


def test_explain_says_who_decided_and_nothing_of_the_record(call: Call, either: Path, tmp_path: Path) -> None:
    token = json.loads(
        done(call, "token", "--client", "x", "--scope", "system/*.rs", "--org", ELSEWHERE, "--json")
    )["token"]
    (tmp_path / "token").write_text(token + "\n")
    before = json.loads(done(call, "consent", "explain", token, "Observation/pulse", "--json"))
    assert (before["permit"], before["rule"], before["directives"]) == (False, "no-directive", [])
    done(call, "patient", "enrol", "anna", "--key-out", "k")
    permit = done(call, "consent", "grant", "anna", *TERMS, "--key", "k").strip()
    after = json.loads(done(call, "consent", "explain", "@token", "Observation/pulse", "--json"))
    assert (after["permit"], after["rule"], after["directives"]) == (True, "directive-permit", [permit])
    assert after["height"] > before["height"]
    house = json.loads(done(call, "config", "show", "--json"))["did"]
    assert json.loads(done(call, "consent", "explain", "app", "Observation/pulse", "--json"))["permit"]
    deny = done(call, "consent", "grant", "anna", "--deny", *TERMS, "--to", house, "--key", "k").strip()
    mine = json.loads(done(call, "consent", "explain", "app", "Observation/pulse", "--json"))
    assert (mine["permit"], mine["answer"], mine["directives"]) == (False, "absent", [deny])
    theirs = json.loads(done(call, "consent", "explain", token, "Observation/pulse", "--json"))
    assert (theirs["rule"], theirs["directives"]) == ("directive-deny", [deny])
    assert {
        entry["kind"] for entry in json.loads(done(call, "access-log", "house", "--json"))["entries"]
    } >= {"explain"}
    assert call("consent", "explain", "app", "Observation/none")[0] == 3
    assert call("consent", "explain", token[:-3] + "abc", "Observation/pulse")[0] == 4


BAD_TERMS: dict[str, tuple[tuple[str, ...], str]] = {
    "nobody": (("--purpose", "TREAT", "--until", "2999-01-01"), "--to DID"),
    "what is no DID": (("--to", "did:web:x", *TERMS[2:]), "64 lower-case hex digits"),
    "a name": (("--to", "Dr Osler", *TERMS[2:]), "Practitioner/ID"),
    "no purpose": (("--to", ELSEWHERE, "--until", "2999-01-01"), "--purpose TREAT"),
    "an unknown purpose": (("--to", ELSEWHERE, "--purpose", "GOSSIP", "--until", "2999-01-01"), "HRESCH"),
    "an unknown type": ((*TERMS, "--type", "Observations"), "did you mean Observation"),
    "a category with two bars": ((*TERMS, "--category", "a|b|c"), "SYSTEM|CODE"),
    "an empty label": ((*TERMS, "--label", "http://x|"), "SYSTEM|CODE"),
    "no end": (TERMS[:4], "--until YYYY-MM-DD"),
    "what is no day": ((*TERMS[:4], "--until", "2026-02-30"), "YYYY-MM-DD"),
    "a day with a time": ((*TERMS[:4], "--until", "2999-01-01T00:00"), "YYYY-MM-DD"),
    "an end in the past": ((*TERMS[:4], "--from", "2001-01-01", "--until", "2001-01-02"), "--until"),
    "an end before the beginning": ((*TERMS, "--from", "3000-01-01"), "--from"),
    "an unknown action": ((*TERMS, "--action", "write"), "careledger consent --help"),
}


@pytest.mark.parametrize("case", BAD_TERMS)
def test_what_cannot_be_meant_is_a_usage_error(case: str, call: Call, tmp_path: Path) -> None:
    """Before any home is looked for."""
    terms, hint = BAD_TERMS[case]
    code, out, err = call("consent", "grant", "anna", *terms, "--key", "absent.key")
    assert (code, out) == (2, "")
    assert hint in err


def test_a_key_file_is_hers_alone(call: Call, home: Path, tmp_path: Path) -> None:
    assert call("patient", "enrol", "anna")[0] == 2
    inside = home / "anna.key"
    code, _, err = call("patient", "enrol", "anna", "--key-out", str(inside))
    assert code == 2
    assert "elsewhere" in err
    assert not inside.exists()
    old = os.umask(0)
    try:
        done(call, "patient", "enrol", "anna", "--key-out", "anna.key")
    finally:
        os.umask(old)
    written = (tmp_path / "anna.key").read_bytes()
    assert stat.S_IMODE((tmp_path / "anna.key").stat().st_mode) == 0o600
    code, _, err = call("patient", "enrol", "berta", "--key-out", "anna.key")
    assert code == 2
    assert "never overwritten" in err
    assert (tmp_path / "anna.key").read_bytes() == written
    code, _, err = call("patient", "enrol", "anna", "--key-out", "second.key")
    assert code == 5
    assert "--key FILE" in err
    assert call("patient", "enrol", "nobody", "--key-out", "third.key")[0] == 3
    assert not (tmp_path / "second.key").exists()
    assert not (tmp_path / "third.key").exists()
    done(call, "patient", "enrol", "anna", "--key", "anna.key", "--key-out", "second.key")
    assert call("consent", "grant", "anna", *TERMS, "--key", "anna.key")[0] == 4
    done(call, "consent", "grant", "anna", *TERMS, "--key", "second.key")
    assert written not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_an_enrolment_that_the_node_refuses_leaves_no_key_file(
    call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else enrolled meanwhile: the key that nobody took is not kept."""
    forward = calls.Calls.__call__

    def late(self: calls.Calls, method: str, **params: Any) -> dict[str, Any]:
        answer = forward(self, method, **params)
        return {**answer, "key": b""} if method == "consent.prepare" else answer

    done(call, "patient", "enrol", "anna", "--key-out", "first.key")
    monkeypatch.setattr(calls.Calls, "__call__", late)
    assert call("patient", "enrol", "anna", "--key-out", "second.key")[0] == 5
    assert not (tmp_path / "second.key").exists()


def test_only_her_key_decides(call: Call, home: Path, tmp_path: Path) -> None:
    for name in ("anna", "berta"):
        done(call, "patient", "enrol", name, "--key-out", f"{name}.key")
    id = done(call, "consent", "grant", "anna", *TERMS, "--key", "anna.key").strip()
    for words in (
        ("grant", "anna", *TERMS),
        ("supersede", id, *TERMS),
        ("revoke", id),
    ):
        assert call("consent", *words, "--key", "berta.key")[0] == 4, words
        assert call("consent", *words, "--key", "absent.key")[0] == 2, words
        (tmp_path / "torn.key").write_bytes((tmp_path / "anna.key").read_bytes()[:-9])
        assert call("consent", *words, "--key", "torn.key")[0] == 2, words
    assert call("consent", "revoke", id)[0] == 2
    assert call("consent", "revoke", id, "--code", "12 34")[0] == 2
    assert call("consent", "revoke", id, "--code", "@nowhere")[0] == 2
    assert call("consent", "revoke", id, "--code", "0" * 64)[0] == 5
    elsewhere = json.loads((tmp_path / "anna.key").read_text()) | {"chain": "cl-" + "0" * 32}
    (tmp_path / "elsewhere.key").write_text(json.dumps(elsewhere))
    assert call("consent", "grant", "anna", *TERMS, "--key", "elsewhere.key")[0] == 2
    assert [one["status"] for one in listed(call)] == ["active"]


def test_grants_wait_and_revocations_do_not(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("careledger.cli.consent.time.sleep", waited.append)
    monkeypatch.setattr("careledger.cli.consent.secrets.randbelow", lambda bound: bound - 1)
    monkeypatch.delenv("CARELEDGER_CONSENT__GRANT_DELAY_SECONDS")
    done(call, "patient", "enrol", "anna", "--key-out", "k")
    assert waited == []
    id = done(call, "consent", "grant", "anna", *TERMS, "--key", "k").strip()
    assert waited == [5.0]
    done(call, "consent", "revoke", id, "--key", "k")
    assert waited == [5.0]


def test_a_sequence_that_moved_is_signed_again(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(call, "patient", "enrol", "anna", "--key-out", "k")
    forward, methods = calls.Calls.__call__, []

    def outdated(self: calls.Calls, method: str, **params: Any) -> dict[str, Any]:
        methods.append(method)
        answer = forward(self, method, **params)
        return (
            {**answer, "sequence": 9}
            if method.startswith("consent.prepare") and len(methods) == 1
            else answer
        )

    monkeypatch.setattr(calls.Calls, "__call__", outdated)
    id = done(call, "consent", "grant", "anna", *TERMS, "--key", "k").strip()
    assert methods == ["consent.prepare", "consent.grant"] * 2
    methods.clear()
    done(call, "consent", "revoke", id, "--key", "k")
    assert methods == ["consent.prepare_revocation", "consent.revoke"] * 2


def test_an_entry_under_another_key_is_told(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A custodian who entered the commitment first, under a key of its own, holds the power to revoke."""
    done(call, "patient", "enrol", "anna", "--key-out", "k")
    forward = calls.Calls.__call__

    def forged(self: calls.Calls, method: str, **params: Any) -> dict[str, Any]:
        answer = forward(self, method, **params)
        if method == "consent.grant":
            answer["entry"] = ENTRY.encode(Entry(1, bytes(32), 400_000, params["revocation_hash"], 1))
        return answer

    monkeypatch.setattr(calls.Calls, "__call__", forged)
    code, _, err = call("consent", "grant", "anna", *TERMS, "--key", "k")
    assert code == 6
    assert "not hers" in err


def test_the_log_and_the_list_say_on_what_authority(call: Call, home: Path, tmp_path: Path) -> None:
    """A look under a directive is listed with its rule and the directive; a directive with all that narrows it."""
    done(call, "patient", "enrol", "anna", "--key-out", "k")
    narrow = ("--label", "urn:x|R", "--action", "proof", "--action", "access")
    id = done(call, "consent", "grant", "anna", *TERMS, *narrow, "--key", "k").strip()
    wide = done(call, "consent", "grant", "anna", *TERMS, "--key", "k").strip()
    lines = done(call, "consent", "list", "anna").splitlines()
    assert next("urn:x|R" in line and "access,proof" in line for line in lines if line.startswith(id))
    with node_of(home) as node:
        stranger = caller(node.client, organisation=ELSEWHERE, practitioner="owl", roles=("nurse",))
        assert stranger.get("Observation/pulse").status == 200
    log = json.loads(done(call, "access-log", "anna", "--json"))["entries"]
    seen = next(one for one in log if one["kind"] == "read")
    assert (seen["rule"], seen["directives"], seen["roles"]) == ("directive-permit", [wide], ["nurse"])
    shown = done(call, "access-log", "anna")
    assert next("directive-permit" in line and wide in line for line in shown.splitlines() if " owl " in line)


def test_what_would_silently_mean_something_else_is_told(call: Call, home: Path) -> None:
    """A token cut short is no client's name; a token of nobody, or for nothing, sees nothing; a typing error in a
    practitioner's id protects nobody; and nobody waits for what is refused anyhow."""
    token = ("token", "--client", "x", "--scope", "system/*.rs")
    whole = done(call, *token).strip()
    for words, hint in (
        (("consent", "explain", whole[:200], "Observation/pulse"), "the whole token"),
        (("consent", "explain", "app", "Observation"), "TYPE/ID"),
        (("receipt", "Observation"), "TYPE/ID"),
        (("erase", "Observation/pulse", "--reason", "x", "--yes"), "_history"),
        (("consent", "revoke", "abc", "--key", "k"), "64 hex digits"),
        ((*token, "--purpose", "TREET"), "TREAT"),
        ((*token, "--org", "did:foo"), "64 lower-case hex digits"),
    ):
        code, out, err = call(*words)
        assert (code, out) == (2, "") and hint in err, words
    done(call, "patient", "enrol", "anna", "--key-out", "k")
    terms = ("--purpose", "TREAT", "--until", "2999-12-31", "--key", "k")
    code, out, err = call("consent", "grant", "anna", "--to", "Practitioner/nobody", *terms)
    assert code == 0 and "there is no Practitioner/nobody here" in err
    done(call, "consent", "revoke", out.strip(), "--key", "k")
    code, _, err = call("consent", "supersede", out.strip(), *TERMS, "--key", "k")
    assert code == 5 and "revoked already" in err
    done(call, "patient", "enrol", "berta", "--key-out", "b")
    code, _, err = call("consent", "grant", "anna", *TERMS, "--key", "b")
    assert code == 4 and "newest enrolment" in err


def test_a_passkey_follows_a_key_file_and_a_key_file_the_kit(call: Call, home: Path, tmp_path: Path) -> None:
    done(call, "patient", "enrol", "anna", "--key-out", "anna.key")
    kit = PatientKey(b"k" * 32)
    with node_of(home) as node:
        device = PasskeyDevice(node.command, "anna", Passkey("anna"))
        word = done(call, "patient", "follow", compute_key_id(device.key), "--key", "anna.key").strip()
        device.enrol(bytes.fromhex(word), recovery=kit.public)
        device.grant()
    assert call("consent", "grant", "anna", "--to", "role:nurse", "--purpose", "TREAT", "--until", "2999-12-31",
                "--key", "anna.key")[0] == 4  # fmt: skip
    assert call("patient", "enrol", "anna", "--key-out", "next.key", "--key", "anna.key")[0] == 6
    (tmp_path / "kit").write_text("-".join(["6b6b6b6b"] * 8) + "\n")
    done(call, "patient", "enrol", "anna", "--key-out", "next.key", "--kit", "kit")
    done(call, "consent", "grant", "anna", "--to", "role:nurse", "--purpose", "TREAT", "--until", "2999-12-31",
         "--key", "next.key")  # fmt: skip
    assert [one["bound"] for one in listed(call)] == [True, True]


@pytest.mark.parametrize(
    "words",
    [
        ("follow", "xyz", "--key", "anna.key"),
        ("follow", "ab" * 16),
        ("enrol", "anna", "--key-out", "next.key", "--kit", "absent"),
        ("enrol", "anna", "--key-out", "next.key", "--kit", "anna.key"),
        ("enrol", "anna", "--key-out", "next.key", "--kit", "anna.key", "--key", "anna.key"),
    ],
)
def test_what_lets_no_key_follow_is_told(call: Call, home: Path, words: tuple[str, ...]) -> None:
    done(call, "patient", "enrol", "anna", "--key-out", "anna.key")
    assert call("patient", *words)[0] == 2
