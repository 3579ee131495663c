"""`/api/ledger`: the ledger explorer. For everybody who is signed in, and for anybody where `explorer.open` says so."""

from __future__ import annotations

from typing import Final

from careledger.fhir.messages import FhirResponse
from careledger.node.explorer import PAGE_MAX, Explorer
from careledger.primitives.errors import Invalid, NotPermitted
from careledger.smart.limits import PAGES_OF_ADDRESS
from careledger.web.api.messages import ApiRequest, answer, answer_kept, read_count, read_number
from careledger.web.api.parts import Found, Parts

COUNT_DEFAULT: Final = 20


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
        return answer(Explorer(snapshot).overview())


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
    """Who validates, with which weight."""
    check_reader(parts, request)
    request.parameters()
    with parts.reader.snapshot() as snapshot:
        ledger = Explorer(snapshot)
        shown = {"height": ledger.height, "validators": ledger.list_validators()}
    return answer(shown)


async def search(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """What a text names on the ledger."""
    check_reader(parts, request)
    given = request.parameters("q", "before")
    if "q" not in given:
        raise Invalid("a search needs q", hint="q=HEIGHT, HASH, DID or type of message", code="parameter")
    before = read_number(given["before"], "before") if "before" in given else None
    with parts.reader.snapshot() as snapshot:
        return answer(Explorer(snapshot).search(given["q"], before))
