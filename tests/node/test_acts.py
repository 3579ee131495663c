"""Every act of an administrator is an entry of the house log: each command, each form of the desk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from careledger.ledger.kernel import VALID_MS_MAX
from careledger.node import service
from careledger.node.acts import ENTERED, ENTERS_ITSELF, SHOWS_NO_RECORD
from careledger.node.commands import COMMANDS
from careledger.smart.auditing import OPERATOR
from tests.faults.rig import Node, new_home, node_of, observation, patient

SECRET = "a-secret-that-no-log-may-hold"
CLIENT = {
    "name": "Laboratory",
    "scope": "system/*.rs",
    "jwks": "",
    "redirect_uris": ["https://lab.example/back"],
}
PARAMETER = VALID_MS_MAX.name
CLINICIAN = {"kind": "clinician", "name": "Mei Chen", "fhir_user": "Practitioner/d1"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_of(new_home(tmp_path_factory.mktemp("acts") / "home")) as found:
        found.client.put("Patient/anna", patient("anna"))
        for value in (70, 71):
            found.client.put("Observation/pulse", observation("pulse", "anna", value))
        yield found


def log(node: Node) -> list[tuple[str, str, str]]:
    """Who, what and about what, of the house."""
    entries = node.command("access_log", patient="house")["entries"]
    return [(one["actor"], one["rule"], one["what"]) for one in entries]


def test_every_command_says_how_it_is_entered() -> None:
    tables = (frozenset(ENTERED), ENTERS_ITSELF, SHOWS_NO_RECORD)
    assert set().union(*tables) == set(COMMANDS)
    assert sum(map(len, tables)) == len(COMMANDS)  # in one table each
    assert len({act.what for act in ENTERED.values()}) == len(ENTERED)


@pytest.mark.parametrize("name", ENTERED)
def test_each_act_leaves_its_entry_and_no_secret(node: Node, name: str) -> None:
    act = ENTERED[name]

    async def succeed(*_: object) -> dict[str, Any]:
        return {"secret": SECRET, "token": SECRET, "path": SECRET, **dict.fromkeys(act.about, "of-this")}

    before = len(log(node))
    with mock.patch.object(service, "COMMANDS", {**COMMANDS, name: succeed}):
        node.command(name, patient="of-this", secret=SECRET)
    entered = [one for one in log(node)[before:] if one != (OPERATOR, "log-read", "house")]
    assert entered == [(act.actor, act.what, " ".join("of-this" for _ in act.about))]


def test_an_act_that_failed_leaves_no_entry_of_its_success(node: Node) -> None:
    before = len(log(node))
    with pytest.raises(Exception, match="no such client"):
        node.command("client.disable", id="nobody")
    assert {what for _, what, _ in log(node)[before:]} == {"log-read"}


def test_what_administrators_do_on_a_real_home_stands_there(node: Node, tmp_path: Path) -> None:
    before = len(log(node))

    def done(method: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = node.run(node.service.command(method, params, lambda _step: None))
        return found

    client = done("client.add", **CLIENT)
    done("client.disable", id=client["id"])
    token = done("token.issue", client="import", scope="system/*.cruds", expires_s=60)
    done("token.revoke", token=token["id"])
    done("issuer.rotate")
    done("account.invite", **CLINICIAN)
    done("parameters.set", name=PARAMETER, value=3_600_000)
    done("erase", reference="Observation/pulse/_history/1", reason="another patient's")
    done("backup", path=str(tmp_path / "backup"))
    node.rest()
    entered = [one for one in log(node)[before:] if one[1] != "log-read"]
    assert [(who, what) for who, what, _ in entered] == [
        (OPERATOR, what)
        for what in (
            "client-added", "client-disabled", "token-issued", "token-revoked", "keys-rotated", "invited",
            "parameter-set", "erased", "backed-up",
        )
    ]  # fmt: skip
    assert entered[0][2] == client["id"] and entered[2][2] == f"import {token['id']}"
    said = str(entered)
    for secret in (client["secret"], token["token"], "pulse", str(tmp_path)):
        assert secret not in said
    assert node.fsck() == []
