"""`/api/charts/{patient}` and `/api/receipts`: sizes, the access log, exports, proofs of one person's records."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from careledger.fhir.messages import FhirResponse
from careledger.node import looks
from careledger.node.callers import Caller, absent
from careledger.node.cosigned import ALL, WANTED_MAX
from careledger.node.looks import Sizes
from careledger.primitives.errors import Invalid, Unavailable
from careledger.web.api.messages import (
    BYTES,
    ApiRequest,
    answer,
    answer_file,
    answer_stream,
    read_count,
    read_number,
)
from careledger.web.api.parts import Found, Parts

COUNT_DEFAULT: Final = 50
WAIT_SECONDS: Final = 25.0
POLL_SECONDS: Final = 0.5
RECHECK_EVERY: Final = 4
"""Looks after which the token is looked at again."""
WAITING_OF_TOKEN_MAX: Final = 4
WAITING_MAX: Final = 1_000
After = tuple[int | None, ...]
"""Sizes known already: records, accesses, height; None for any."""
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}", re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""An Ed25519 key as trust files write it."""
_AFTER = re.compile(r"(\*|[0-9]{1,15})\.(\*|[0-9]{1,15})\.(\*|[0-9]{1,15})", re.ASCII)


def patient_of(found: Found) -> str:
    """The patient's id of the path. Raises NotFound for what can be none."""
    if not _ID.fullmatch(found["id"]):
        raise absent()
    return found["id"]


async def head(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """A chart's sizes; with `after=R.A.H` once one of them differs, or as they are after 25 seconds.

    Entered in the chart's log when a token asks for the first time, and not again: it would change what it tells. It is
    decided anew before it is told, and a token that ends meanwhile ends the wait.
    """
    patient, caller = patient_of(found), parts.caller(request)
    after = _after(request.parameters("after").get("after"))
    sizes = await _sizes(parts, caller, patient)
    await _enter_once(parts, request, patient)
    if after is None or _differs(after, sizes):
        return answer(_shown(sizes))
    token = request.caller.token_id
    with _Place(parts.watching.waiting, token):
        await _wait(parts, request, patient, after)
    parts.recheck(request)
    return answer(_shown(await _sizes(parts, caller, patient)))


async def _sizes(parts: Parts, caller: Caller, patient: str) -> Sizes:
    """As decided now. Raises NotFound for a chart that is not there (any more), and what a refusal raises."""
    decision, sizes = looks.read_sizes(parts.context, caller, patient)
    if sizes is None and not decision.permit:
        await caller.refuse(parts.context, decision, f"Patient/{patient}")
    if sizes is None:
        raise absent()
    return sizes


async def _wait(parts: Parts, request: ApiRequest, patient: str, after: After) -> None:
    """Until a size differs, at most 25 seconds. Cheap: many wait. Raises Unauthenticated once the token has ended."""
    end, looked = parts.clock() + WAIT_SECONDS, 0
    while parts.clock() < end and not parts.watching.is_leaving:
        await asyncio.sleep(POLL_SECONDS)
        sizes = looks.peek(parts.context, patient)
        if sizes is None or _differs(after, sizes):
            return
        looked += 1
        if looked % RECHECK_EVERY == 0:
            parts.recheck(request)


async def _enter_once(parts: Parts, request: ApiRequest, patient: str) -> None:
    token = request.caller.token_id
    if not parts.watching.note(token, patient):
        return
    try:
        await looks.enter_watch(parts.context, parts.caller(request), patient)
    except BaseException:
        parts.watching.forget(token, patient)
        raise


def _after(text: str | None) -> After | None:
    if text is None:
        return None
    parsed = _AFTER.fullmatch(text)
    if parsed is None:
        raise Invalid(
            "after names sizes: records, accesses, height", hint="after=12.34.56; * for any", code="parameter"
        )
    return tuple(None if one == "*" else int(one) for one in parsed.groups())


def _differs(after: After, sizes: Sizes) -> bool:
    now = (sizes.records, sizes.accesses, sizes.height)
    return any(old is not None and old != new for old, new in zip(after, now, strict=True))


def _shown(sizes: Sizes) -> dict[str, Any]:
    now = (sizes.records, sizes.accesses, sizes.height)
    return {"records": now[0], "accesses": now[1], "height": now[2], "after": ".".join(map(str, now))}


class _Place:
    """One of the places to wait at, of a token and of all. Raises Unavailable if none is free."""

    def __init__(self, waiting: dict[str, int], token: str) -> None:
        self._waiting = waiting
        self._token = token

    def __enter__(self) -> None:
        own = self._waiting.get(self._token, 0)
        if own >= WAITING_OF_TOKEN_MAX or sum(self._waiting.values()) >= WAITING_MAX:
            raise Unavailable("too many requests wait already", hint="wait with one at a time", code="busy")
        self._waiting[self._token] = own + 1

    def __exit__(self, *exc: object) -> None:
        left = self._waiting[self._token] - 1
        if left:
            self._waiting[self._token] = left
        else:
            del self._waiting[self._token]


async def accesses(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """Who had what of the chart, when, why and on what authority, newest first."""
    given = request.parameters("before", "count")
    before = read_number(given["before"], "before") if "before" in given else None
    count = read_count(given.get("count"), COUNT_DEFAULT, looks.COUNT_MAX)
    patient = patient_of(found)
    return answer(await looks.list_accesses(parts.context, parts.caller(request), patient, before, count))


async def export(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """The whole chart with its proofs (docs/spec/export.md)."""
    return await _export(parts, request, found, whole=True)


async def access_export(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """The chart's whole access log with its proof."""
    return await _export(parts, request, found, whole=False)


async def _export(parts: Parts, request: ApiRequest, found: Found, *, whole: bool) -> FhirResponse:
    given = request.parameters("since", "witnesses")
    since = read_number(given["since"], "since") if "since" in given else 0
    caller = parts.caller(request).pack()
    asked = {"caller": caller, "patient": patient_of(found), "whole": whole, "since": since}
    made = await parts.call("asked.export", asked | {"witnesses": _witnesses(given)})
    name = "chart.json" if whole else "access-log.json"
    return answer_stream(_Pieces(parts, made["spool"], made["pieces"]), made["bytes"], name)


async def copy(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """The chart and its access log as a sealed copy, which its patient alone opens (docs/spec/copy.md)."""
    request.parameters()
    asked = {"caller": parts.caller(request).pack(), "patient": patient_of(found)}
    made = await parts.call("asked.copy", asked)
    pieces = _Pieces(parts, made["spool"], made["pieces"])
    return answer_stream(pieces, made["bytes"], "record.sealed", BYTES)


class _Pieces:
    """A spooled export, piece by piece; dropped at the end, or when nobody takes it."""

    def __init__(self, parts: Parts, spool: str, count: int) -> None:
        self._parts = parts
        self._spool = spool
        self._count = count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(self._count):
            asked = {"spool": self._spool, "number": number}
            yield (await self._parts.call("asked.export.piece", asked))["data"]

    async def aclose(self) -> None:
        """Nothing is kept of it."""
        await self._parts.call("asked.export.drop", {"spool": self._spool})


async def receipt(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """The receipt of a version (docs/spec/receipt.md): of the current one if the path names none."""
    given = request.parameters("witnesses")
    type, id, version = found["type"], found["id"], found.get("vid")
    if not _TYPE.fullmatch(type) or type not in parts.context.types or not _ID.fullmatch(id):
        raise absent()
    if version is not None and not _VERSION.fullmatch(version):
        raise absent()
    reference = f"{type}/{id}" if version is None else f"{type}/{id}/_history/{version}"
    asked = {"caller": parts.caller(request).pack(), "reference": reference, "witnesses": _witnesses(given)}
    made = await parts.call("asked.receipt", asked)
    return answer_file(made["file"].encode())


def _witnesses(given: Mapping[str, str]) -> list[str]:
    """Whose lines the reader wants beside the operator's. Raises Invalid."""
    if "witnesses" not in given:
        return []
    wanted = given["witnesses"].split(",")
    if len(wanted) > WANTED_MAX or not all(one == ALL or _KEY.fullmatch(one) for one in wanted):
        hint = f"all, or at most {WANTED_MAX} keys as the checkpoint names them, with commas between"
        raise Invalid("witnesses names public keys", hint=hint, code="parameter")
    return wanted


async def checkpoint(parts: Parts, request: ApiRequest, found: Found) -> FhirResponse:
    """The newest signed checkpoint, with what witnesses signed of it (docs/spec/receipt.md)."""
    request.parameters()
    return answer_file((await parts.checkpoint.get())["file"].encode())
