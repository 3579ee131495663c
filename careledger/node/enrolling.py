"""The key that decides in a patient's chart: a key file's, or a passkey of hers.

The node never sees a private key. It checks what it is given before it writes, because what stands in a chart stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from careledger.access.directives import (
    Controller,
    ControllerLeaf,
    compute_key_id,
    encode_leaf,
    to_base64,
)
from careledger.access.grants import follows
from careledger.node import directives
from careledger.node.consents import LOCK, leaf_write, read_params
from careledger.primitives.errors import Conflict, VerificationFailed
from careledger.vault.commitments import Kind
from careledger.vault.model import CONTROLLER_TYPE, Commit

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress


class EnrolParams(msgspec.Struct, forbid_unknown_fields=True):
    """A public key for a chart; `continues` is the signature of the one before, b"" for the first.

    With a `credential` the key is a passkey's (encoded), `proof` its assertion that it is this chart's, and `recovery`
    a key (ML-DSA-65) that may enrol its successor, or b"".
    """

    patient: str
    key: bytes
    continues: bytes
    credential: bytes = b""
    proof: bytes = b""
    recovery: bytes = b""


async def enrol(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The key is the chart's from now on. Raises Conflict where the enrolled key did not sign its successor."""
    asked = read_params(params, EnrolParams)
    leaf, id = make_leaf(asked), compute_key_id(asked.key)
    async with node.sequencer.conditional_lock(LOCK):
        with node.reader.snapshot() as snapshot:
            chart = directives.chart_of(snapshot, asked.patient)
            keys = directives.enrolled_keys(snapshot, chart)
            if snapshot.current(CONTROLLER_TYPE, id) is not None:
                raise Conflict("this key is enrolled already", hint="make a new one: every chart has its own")
            place = snapshot.place(chart)
        if not follows(keys[-1] if keys else None, leaf, place):
            raise _refused(keys, asked)
        write = leaf_write(
            node.backend.now_ms(), CONTROLLER_TYPE, id, asked.patient, encode_leaf(leaf), Kind.GUARDIAN
        )
        result = await node.backend.commit(Commit((write,)))
    return {"key_id": id, "height": result.height, "enrolments": len(keys) + 1}


def make_leaf(asked: EnrolParams) -> ControllerLeaf:
    """The leaf that enrols it; nothing of it is checked yet."""
    format: Literal["careledger/controller/1", "careledger/controller/2"] = (
        "careledger/controller/2" if asked.credential else "careledger/controller/1"
    )
    return ControllerLeaf(
        continues=to_base64(asked.continues),
        credential=to_base64(asked.credential),
        format=format,
        key=to_base64(asked.key),
        proof=to_base64(asked.proof),
        recovery=to_base64(asked.recovery),
    )


def _refused(keys: list[Controller], asked: EnrolParams) -> Conflict | VerificationFailed:
    if keys and not asked.continues:
        return Conflict(
            "this chart has an enrolled key, which must sign its successor",
            hint="add --key FILE, the key file of the enrolment before",
            code="enrolled",
        )
    return VerificationFailed(
        "the key is none, or the enrolled key did not sign it",
        hint="use the key file of this patient's newest enrolment",
        code="not-continued",
    )
