"""`/api/ledger`: the ledger explorer. For everybody who is signed in, and for anybody where `explorer.open` says so."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from careledger.fhir.messages import FhirResponse
from careledger.ledger.proof_files import encode_binary
from careledger.ledger.verification import read_any_trust
from careledger.node.explorer import PAGE_MAX, Explorer
from careledger.node.explorer_search import search as find
from careledger.primitives.errors import Invalid, NotPermitted
from careledger.smart.limits import PAGES_OF_ADDRESS, Limit
from careledger.web.api.messages import ApiRequest, answer, answer_kept, read_count, read_number
from careledger.web.api.parts import Found, Parts

COUNT_DEFAULT: Final = 20
SEARCHES_OF_ADDRESS: Final = Limit(rate=2, burst=60)
"""A search looks at some hundred blocks."""


def check_reader(parts: Parts, request: ApiRequest) -> None:
    """Raises NotPermitted for a token behind which no person is, Unauthenticated for nobody, TooManyRequests."""
    if not parts.config.explorer.open:
        actor = request.caller
        if not (actor.account or actor.patient or actor.practitioner):
            raise NotPermitted("the explorer is for people who are signed in", hint="sign in")
    parts.limiter.use(PAGES_OF_ADDRESS, "explorer", request.address)


async def overview(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Which ledger, how far, how fast, whose."""
    check_reader(parts, request)
    request.parameters()
    with parts.reader.snapshot() as snapshot:
        return answer(Explorer(snapshot, parts.members).overview())


async def blocks(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Blocks, newest first."""
    check_reader(parts, request)
    given = request.parameters("before", "count")
    before = read_number(given["before"], "before") if "before" in given else None
    count = read_count(given.get("count"), COUNT_DEFAULT, PAGE_MAX)
    with parts.reader.snapshot() as snapshot:
        return answer(Explorer(snapshot).list_blocks(before, count))


async def block(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """One block with its transactions. It never changes: it has an ETag."""
    check_reader(parts, request)
    request.parameters()
    height = read_number(found["height"], "height")
    with parts.reader.snapshot() as snapshot:
        return answer_kept(request, Explorer(snapshot).show_block(height))


async def transaction(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """One transaction by its hash, in words and in bytes."""
    check_reader(parts, request)
    request.parameters()
    with parts.reader.snapshot() as snapshot:
        return answer_kept(request, Explorer(snapshot).show_transaction(found["hash"]))


async def validators(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Who validates, with which weight, and what of the newest commits each signed."""
    check_reader(parts, request)
    request.parameters()
    return answer(await _list_validators(parts))


async def _list_validators(parts: Parts) -> dict[str, Any]:
    with parts.reader.snapshot() as snapshot:
        ledger = Explorer(snapshot)
        height, found = ledger.height, ledger.list_validators()
    none: dict[str, Any] = {"commits": 0, "signed": {}}
    signing = await parts.signing.get() if found else none
    nothing = {"commits": 0, "newest": 0}
    shown = [one | {"signed": signing["signed"].get(one["address"], nothing)} for one in found]
    return {"height": height, "commits": signing["commits"], "validators": shown}


async def network(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """How this node stands: how fresh it is, who validates, who witnesses."""
    request.parameters()
    request.caller  # noqa: B018 (raises for nobody)
    facts = await parts.network.get()
    validators = await _list_validators(parts) if facts["mode"] == "network" else {"validators": []}
    return answer(facts | {"validators": validators["validators"]})


async def trust(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """What a light client needs to come from the height that it trusts to the newest one.

    On a network: headers with commits and validator sets, in the form of receipts; embedded: that the history continues.
    """
    check_reader(parts, request)
    given = request.parameters("height")
    height = read_number(given["height"], "height") if "height" in given else -1
    with parts.reader.snapshot() as snapshot:
        is_network = Explorer(snapshot).is_network
    if is_network:
        made = await parts.call("asked.trust", {"height": height})
        shown = {
            "mode": "network",
            "height": made["height"],
            "checkpoint": msgspec.Raw(made["checkpoint"].encode()),
        }
        return answer(shown | ({"signed": msgspec.Raw(made["signed"].encode())} if made["signed"] else {}))
    file = (await parts.checkpoint.get())["file"].encode()
    if (size := read_any_trust(file).size) <= height:  # kept since before that block
        file = (await parts.checkpoint.get(fresh=True))["file"].encode()
        size = read_any_trust(file).size
    shown = {"mode": "embedded", "height": size - 1, "checkpoint": msgspec.Raw(file)}
    if height < 0:
        return answer(shown)
    with parts.reader.snapshot() as snapshot:
        path = Explorer(snapshot).prove_continued(height + 1, size)
    return answer(
        shown | {"continued": {"from": height + 1, "to": size, "path": encode_binary(b"".join(path))}}
    )


async def search(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """What a text names on the ledger."""
    check_reader(parts, request)
    given = request.parameters("q", "before")
    if "q" not in given:
        raise Invalid("a search needs q", hint="q=HEIGHT, HASH, DID or type of message", code="parameter")
    before = read_number(given["before"], "before") if "before" in given else None
    parts.limiter.use(SEARCHES_OF_ADDRESS, "searches", request.address)
    with parts.reader.snapshot() as snapshot:
        return answer(find(Explorer(snapshot, parts.members), given["q"], before))
