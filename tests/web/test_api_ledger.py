"""The ledger explorer: every block and transaction in words, for who is signed in, or for anybody where it is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from careledger.ledger.log import verify_consistency
from careledger.ledger.proof_files import decode_binary
from careledger.ledger.transaction import compute_id, decode_transaction
from careledger.ledger.verification import read_any_trust
from careledger.node.explorer_words import WORDS, kinds
from tests.faults.rig import patient
from tests.web.api_support import Site, fill, site_of

PATHS = (
    "/api/ledger",
    "/api/ledger/blocks",
    "/api/ledger/blocks/1",
    "/api/ledger/validators",
    "/api/ledger/search?q=1",
    "/api/ledger/trust",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("api") / "home") as site:
        fill(site)
        site.node.rest()
        yield site


def test_every_message_has_its_words() -> None:
    assert {kind.name for kind in kinds().values()} == set(WORDS)


def test_blocks_lead_to_their_transactions_and_back(site: Site) -> None:
    token = site.token()
    height = site.ask("/api/ledger", token).json["height"]
    assert height == site.node.service.context.home.height
    seen, before = [], f"before={height + 1}"
    while before:
        page = site.ask(f"/api/ledger/blocks?count=2&{before}", token).json
        seen += [one["height"] for one in page["blocks"]]
        before = f"before={page['next']}" if page["next"] is not None else ""
    assert seen == list(range(height, -1, -1)), "every block once, newest first"
    block = site.ask(f"/api/ledger/blocks/{height}", token).json
    (transaction,) = block["list"]
    assert transaction["messages"][0]["words"].startswith("Test clinic anchors batch")
    assert transaction["result"] == {"code": 0, "name": "executed", "words": "executed"}
    alone = site.ask(f"/api/ledger/transactions/{transaction['hash']}", token).json
    assert {name: alone[name] for name in transaction} == transaction
    raw = decode_transaction(bytes.fromhex(alone["raw"]))[0]
    assert compute_id(raw.body).hex() == transaction["hash"], "whoever doubts it hashes it"
    assert site.ask("/api/ledger/blocks/0", token).json["founding"][0]["type"] == "identity.register"
    assert site.ask(f"/api/ledger/blocks/{height + 1}", token).status == 404
    assert site.ask(f"/api/ledger/transactions/{'0' * 64}", token).status == 404
    assert site.ask("/api/ledger/transactions/x", token).status == 400


def test_what_does_not_change_has_an_etag(site: Site) -> None:
    first = site.ask("/api/ledger/blocks/1", site.token())
    again = site.ask("/api/ledger/blocks/1", site.token(), if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"") and again.headers["etag"] == first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    assert site.ask("/api/ledger", site.token()).headers["cache-control"] == "no-store"


def test_a_search_finds_heights_hashes_dids_names_and_types(site: Site) -> None:
    token, did = site.token(), site.node.service.context.home.did

    def find(text: str) -> dict[str, int]:
        found = site.ask(f"/api/ledger/search?q={text}", token).json
        return {name: len(found[name]) for name in ("blocks", "transactions", "organisations") if found[name]}

    block = site.ask("/api/ledger/blocks/2", token).json
    assert find("2") == {"blocks": 1} and find(block["hash"]) == {"blocks": 1}
    first = site.ask("/api/ledger/blocks/1", token).json["list"][0]
    assert find(first["hash"]) == {"transactions": 1}
    assert find("test%20cli") == {"organisations": 1} and find("nobody") == {}
    assert find("records.anchor")["transactions"] == find(did)["transactions"] >= 3
    assert find(did)["organisations"] == 1
    older = site.ask("/api/ledger/search?q=records.anchor&before=2", token).json
    assert [one["height"] for one in older["transactions"]] == [1] and older["next"] is None
    assert site.ask("/api/ledger/search", token).code == "parameter"
    assert site.ask(f"/api/ledger/search?q={'x' * 101}", token).code == "parameter"
    assert site.ask("/api/ledger/search?q=did:x", token).status == 400


def test_nothing_of_a_chart_is_on_the_ledger(site: Site) -> None:
    token = site.token()
    for height in range(site.node.service.context.home.height + 1):
        body = site.ask(f"/api/ledger/blocks/{height}", token).body
        assert not any(secret in body for secret in (b"Lovelace", b"of-ada", b"8867-4", b"grace"))


def test_trust_shows_that_the_history_goes_on(site: Site) -> None:
    token = site.token()
    old = read_any_trust(site.ask("/api/checkpoint", token).body)
    site.node.client.put("Patient/ada", patient("ada", "Lovelace"))
    site.api.parts.checkpoint._answer = None  # as some seconds later
    answer = site.ask(f"/api/ledger/trust?height={old.size - 1}", token)
    shown = answer.json
    start = answer.body.index(b'"checkpoint":') + len(b'"checkpoint":')
    file = answer.body[start : answer.body.index(b',"continued"')]
    new = read_any_trust(file)
    path = decode_binary(shown["continued"]["path"], 0, 1 << 16)
    nodes = [path[at : at + 32] for at in range(0, len(path), 32)]
    assert (shown["continued"]["from"], shown["continued"]["to"]) == (old.size, new.size)
    assert new.size > old.size
    verify_consistency(old.size, new.size, nodes, old.root, new.root)
    site.node.client.put("Patient/ada", patient("ada", "Lovelace"))
    newer = site.node.service.context.home.height
    assert site.ask(f"/api/ledger/trust?height={newer}", token).json["height"] >= newer, "asked for anew"
    assert site.ask(f"/api/ledger/trust?height={newer + 50}", token).code == "parameter"


def test_the_explorer_is_for_who_is_signed_in_unless_it_is_open(site: Site, tmp_path: Path) -> None:
    program, outsider = site.token("program"), site.token(patient="ben")
    for path in PATHS:
        assert site.ask(path).code == "token-missing"
        assert not site.api.is_open(path.partition("?")[0]), "nobody is let in before it is known who asks"
        assert site.ask(path, program).status == 403, "behind it is no person"
        assert site.ask(path, outsider).status == 200
    with site_of(tmp_path / "home", explorer__open=True) as open_site:
        fill(open_site)
        assert all(open_site.ask(path).status == 200 for path in PATHS)
        assert open_site.ask("/api/me").status == open_site.ask("/api/network").status == 401
        assert not open_site.api.is_open("/api/charts/ada/head")
        assert open_site.ask("/api/ledger", "x" * 40).status == 401, "a bad token is refused all the same"
        searches = [open_site.ask("/api/ledger/search?q=1").status for _ in range(61)]
        assert (searches[0], searches[-1]) == (200, 429)
        statuses = [open_site.ask("/api/ledger/validators").status for _ in range(600)]
        assert statuses[0] == 200 and statuses[-1] == 429 and "retry-after" in open_site.ask(PATHS[0]).headers


def test_how_the_node_stands_in_plain_facts(site: Site) -> None:
    facts = site.ask("/api/network", site.token()).json
    assert (facts["mode"], facts["is_stale"], facts["witnesses"]) == ("embedded", False, [])
    assert facts["height"] == site.node.service.context.home.height
    assert "127.0.0.1" not in str(facts)
