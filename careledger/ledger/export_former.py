"""What an export says of the embedded ledger that its organisation brought to a network (docs/spec/export.md, Former).

The state holds what was adopted: genesis, size and root of the embedded history. A pin of its last block shows both heads
as they stood then: what lies before them was decided at heights of the embedded ledger, what follows at the network's.
One scale for both: a network's height counts from behind the embedded ledger's blocks. Errors: VerificationFailed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from careledger.ledger.genesis import compute_chain_id
from careledger.ledger.kernel import compute_state_key
from careledger.ledger.map_proof import MapProof, root_from_proof
from careledger.ledger.pins import PinPart, check_pins
from careledger.ledger.proof_fields import check_whole, decode_digest, refusal
from careledger.ledger.proof_files import decode_binary, decode_map_path
from careledger.primitives.encoding import DIGEST, U64, Bytes, Pair
from careledger.primitives.hashing import tagged

ADOPTED_VALUE: Final = Pair(DIGEST, U64, DIGEST, DIGEST, U64, U64)
"""Of `ledger/adopted`: genesis hash, size and root of the history, state root, newest batch, height of the adoption."""
FOLLOWED_VALUE: Final = Bytes(4_096, least=1)
Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class FormerPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embedded ledger: the fields of `ledger/adopted` with its path in the state, and its last block's pin."""

    genesis: str
    height: int
    last: PinPart
    path: str
    root: str
    seq: int
    size: int
    state: str


class SaidPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of `consent/directive` in a state."""

    height: int
    key: str
    revocation: str
    status: int
    until: int


class WithdrawnPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The height at `consent/withdrawn`, or that there is none (`other`: the leaf in its place, if any)."""

    height: int | Unset = UNSET
    other: str | Unset = UNSET
    path: str


class KeptPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The directive's entry at `ledger/followed`, or that there is none; `withdrawn` by its key and by its code, if it
    was active."""

    other: str | Unset = UNSET
    path: str
    said: SaidPart | Unset = UNSET
    withdrawn: list[WithdrawnPart]


def check_former(
    part: FormerPart,
    chart: tuple[bytes, bytes],
    leaves: tuple[Sequence[bytes] | None, Sequence[bytes]],
    record: tuple[int, bytes],
    state_root: bytes,
) -> None:
    """Returns only if the state holds that this ledger was adopted, and the chart begins with the heads that it ended
    with. Arguments as of `pins.check_pins`."""
    size, root = check_whole(part.size), decode_digest(part.root)
    fields = (decode_digest(part.genesis), size, root, decode_digest(part.state))
    value = ADOPTED_VALUE.encode((*fields, check_whole(part.seq), check_whole(part.height)))
    key = compute_state_key("ledger", "adopted", chart[0])
    if root_from_proof(key, value, decode_map_path(part.path)) != state_root:
        raise refusal("the state does not hold that this ledger was adopted")
    if part.last.block.height != size - 1 or not part.last.records.size:
        raise refusal("the adopted ledger's last block is not the one that is shown")
    check_pins((part.last,), chart, leaves, record, (size, root))


def compute_former_chain(part: FormerPart) -> str:
    """Chain id of the embedded ledger."""
    return compute_chain_id(decode_digest(part.genesis))


def followed_key(organisation: bytes, commitment: bytes) -> bytes:
    """Key in `ledger/followed` of a directive's entry."""
    return organisation + compute_state_key("consent", "directive", commitment)


def withdrawal_key(commitment: bytes, authority: bytes) -> bytes:
    """Key in `consent/withdrawn` of a revocation by this key's or code's hash."""
    return tagged("cl1.withdrawn", commitment + authority)


def check_kept(
    kept: KeptPart, organisation: bytes, commitment: bytes, value: bytes | None, state_root: bytes
) -> int | None:
    """What followed of a directive (`value`, None: nothing) stands in the state; the network's height at which it was
    withdrawn since, if it was."""
    _check_entry(
        ("ledger", "followed", followed_key(organisation, commitment)),
        None if value is None else FOLLOWED_VALUE.encode(value),
        kept,
        state_root,
    )
    said = kept.said
    if said is UNSET or said.status != 1:
        if kept.withdrawn:
            raise refusal("what never held is not withdrawn")
        return None
    authorities = (decode_digest(said.key), decode_digest(said.revocation))
    if len(kept.withdrawn) != len(authorities):
        raise refusal("whether a directive that followed was withdrawn is not shown")
    heights = []
    for authority, part in zip(authorities, kept.withdrawn, strict=True):
        height = None if part.height is UNSET else check_whole(part.height)
        found = None if height is None else U64.encode(height)
        key = withdrawal_key(commitment, authority)
        _check_entry(("consent", "withdrawn", key), found, part, state_root)
        heights += [] if height is None else [height]
    return min(heights, default=None)


def _check_entry(
    place: tuple[str, str, bytes], value: bytes | None, part: KeptPart | WithdrawnPart, state_root: bytes
) -> None:
    proof = decode_map_path(part.path)
    if part.other is not UNSET:
        if value is not None:
            raise refusal("what stands in the state has no other leaf in its place")
        other = decode_binary(part.other, 64, 64)
        proof = MapProof(proof.siblings, (other[:32], other[32:]))
    if root_from_proof(compute_state_key(*place), value, proof) != state_root:
        raise refusal("what followed from the embedded ledger is not in the state")
