"""What a witness knows, in words: its key, each ledger's head, and both heads of each fork."""

from __future__ import annotations

import base64
from typing import Any

from careledger.ledger.checkpoint import SignedCheckpoint, parse_note
from careledger.primitives.errors import Corrupt, Invalid
from careledger.witness.folder import Evidence, WitnessFolder
from careledger.witness.witness import KnownLog, read_known


def describe(folder: WitnessFolder) -> dict[str, Any]:
    """`name`, `key` (a line to copy), `logs`; `forked` if any ledger has an open contradiction."""
    logs = []
    for chain in folder.chains():
        stored = folder.read_log(chain)
        if stored is not None:
            logs.append(_log(chain, read_known(stored, folder)))
    return {
        "name": folder.key.name,
        "key": folder.key.text,
        "forked": any(fork["open"] for log in logs for fork in log["forks"]),
        "logs": logs,
    }


def _log(chain: str, known: KnownLog) -> dict[str, Any]:
    return {
        "chain": chain,
        **_head(known.latest),
        "signed_at_s": known.time_s,
        "forks": [_fork(evidence, known) for evidence in known.evidence],
    }


def _fork(evidence: Evidence, known: KnownLog) -> dict[str, Any]:
    """Both heads. What is not proven is closed once the ledger has gone on past it from what was signed here."""
    first, second = _parse(evidence.known), _parse(evidence.offered)
    return {
        "proven": evidence.proven,
        "open": evidence.proven or second.checkpoint.size > known.latest.checkpoint.size,
        "reason": evidence.reason,
        "seen_at_s": evidence.time_s,
        "signed": _head(first),
        "refused": _head(second),
    }


def _head(note: SignedCheckpoint) -> dict[str, Any]:
    return {"size": note.checkpoint.size, "root": base64.b64encode(note.checkpoint.root).decode()}


def _parse(text: str) -> SignedCheckpoint:
    try:
        return parse_note(text)
    except Invalid:
        raise Corrupt("a note that was kept as evidence is damaged", code="witness-damaged") from None
