"""Writes docs/spec/ledger.md from the contracts' tables. `--check` only says whether it is up to date (exit code 1)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from careledger.contracts import CONTRACTS  # noqa: E402
from careledger.contracts.actions import ACTIONS  # noqa: E402
from careledger.contracts.proposals import BODY, DUE  # noqa: E402
from careledger.contracts.validators import SEAT  # noqa: E402
from careledger.ledger import genesis, map_proof, transaction  # noqa: E402
from careledger.ledger.blocks import BLOCK, TRANSACTIONS_MAX  # noqa: E402
from careledger.ledger.execution import ENVELOPE_REFUSALS_OF_EXECUTION, SYSTEM_STATE  # noqa: E402
from careledger.ledger.kernel import EVIDENCE, KEY, VALID_MS_MAX, Contract, NotSigned, Rejected  # noqa: E402
from careledger.primitives.encoding import Codec, Schema  # noqa: E402
from careledger.primitives.webauthn import ASSERTION, WEBAUTHN_KEY  # noqa: E402

TARGET = ROOT / "docs" / "spec" / "ledger.md"

ENVELOPE_REFUSALS: tuple[type[Rejected], ...] = (
    transaction.Malformed,
    transaction.TransactionTooLarge,
    transaction.BadAuthenticator,
    transaction.UnknownAlgorithm,
    NotSigned,
    *ENVELOPE_REFUSALS_OF_EXECUTION,
)

INTRODUCTION = f"""# The ledger: state, messages, refusals

Written by `tools/build_spec.py` from the tables of `careledger/contracts` and `careledger/ledger`; do not edit.
The protocol says what these things mean; this page holds the numbers that it leaves open.

## Numbers

| what | number |
|---|---|
| Largest transaction; message; messages, authenticators in one | {transaction.TRANSACTION_SIZE_MAX:,} bytes; \
{transaction.MESSAGE_SIZE_MAX:,} bytes; {transaction.MESSAGES_MAX}; {transaction.AUTHENTICATORS_MAX} |
| Lanes | 0 to {transaction.LANES - 1}; lane 0 only messages marked urgent |
| First sequence of a lane | 0 |
| `valid_until` | block time to block time + {VALID_MS_MAX.default:,} ms unless governance set less, both included |
| Quota | bytes of bodies a sponsor and day of block time (UTC); {genesis.QUOTA_BYTES_DAY_DEFAULT:,} unless the genesis says otherwise |
| Transactions in a block | {TRANSACTIONS_MAX:,} |
| First batch of an organisation | seq 0, previous root 32 zero bytes; leaf seq of the log of batches |
| Keys of the state map | depth at most {map_proof.KEY_BITS} |

## Decisions

- A message travels as u16 number, then its fields. Authenticators are (u8 algorithm, key, signature), in strictly
  ascending order of (algorithm, key); each signs the id, and each must be needed by the sponsor or a message.
  Algorithms: 1 Ed25519, 2 ML-DSA-65, 3 passkey ES256, 4 passkey ML-DSA-65. Number 15 refused the last two while they
  were reserved; it is not used again.
- A passkey's key is enc(WebAuthn key): the raw public key (ES256 64 bytes x | y on P-256, ML-DSA-65 1,952), the RP id's
  SHA-256, the origin. The origin is `https://host[:port]`, or `http://localhost[:port]`: a host of a … z, 0 … 9, `.` and
  `-`, a port without leading zero. Its signature is enc(assertion): authenticatorData, clientDataJSON, and the signature
  over authenticatorData | SHA-256(clientDataJSON); ES256 is 64 bytes r | s, 0 < r < n, 0 < s <= n / 2.
- authenticatorData: bytes 0 to 31 are the RP id's SHA-256; in byte 32 bits 0 (UP) and 2 (UV) are 1, bit 6 (AT) is 0, and
  bit 7 (ED) is 1 exactly if there are more than 37 bytes; the other bits, the counter and the tail are not looked at.
  clientDataJSON begins, as bytes, with `{{"type":"webauthn.get","challenge":"`, base64url of the id without padding,
  `","origin":"`, the origin, `","crossOrigin":false`, and then `}}` or `,`; what follows is not looked at.
- Passkeys are practitioners' alone. Organisations' root and node keys sign more than transactions (requests for
  admission, statements of validators), and stand on servers; devices have no user. `identity/key` counts a passkey by
  (algorithm, raw key): it is used once, whatever RP id and origin it is registered for.
- Standing of a DID at a time: unknown; deactivated, if it or its organisation is; suspended, likewise; lapsed, if it has
  licences and every one's last day (UTC) is over; else active. Roles in force, only when active: roles that were never
  licensed, and licensed ones whose day is not over. Day 0 ends a licence.
- A suspended organisation sponsors nothing and decides nothing; so 203 or 12 refuses whatever is its.
- The sponsor's node or root key signs. One key may sign for the sponsor and for an author.
- A transaction is all or nothing. A refused one changes nothing, not even the sequence: the app hash is that of a
  block without it. Its code and bytes stay in the block.
- A DID is H(`cl1.did`, u8 kind | u8 algorithm | first root key), written `did:careledger:` and 64 hex digits.
- `sys/history` at block h holds size h and the root of leaves 0 … h − 1.
- In the genesis every key counts as having signed. Embedded, the first organisation registers itself as the operator;
  a network's genesis names founders with their validators, and no operator.
- A block acts first on the evidence that came with it, in its order, then on what is due (proposals by number), then on
  its transactions. Each of these steps is whole or leaves no trace.
- Checkpoints: the origin is also the signer's name. Ed25519 lines have note type 01. ML-DSA-44 lines have type 06 (C2SP
  tlog-cosignature, `subtree/v1` from leaf 0) with the block's time in seconds.
- A map proof is enc(list of option of 32 bytes: siblings from the root down; option of (key, value hash): the one leaf
  that stands where an absent key would). The last sibling is never empty.
"""


def row(*cells: str) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def write_fields(codec: Codec[object]) -> str:
    """The fields of a schema as `name: kind`."""
    if not isinstance(codec, Schema):
        return codec.name
    return ", ".join(f"{name}: {field.name}" for name, field in codec.fields.items())


def write_refusals(refusals: tuple[type[Rejected], ...]) -> list[str]:
    """A table of refusals, by number."""
    ordered = sorted(refusals, key=lambda refusal: refusal.number)
    lines = ["| number | code | refused because |", "|---|---|---|"]
    return lines + [
        row(str(one.number), f"`{one.code}`", " ".join((one.__doc__ or "").split())) for one in ordered
    ]


def write_contract(contract: Contract) -> list[str]:
    """State, messages, events and refusals of one contract."""
    state = (*SYSTEM_STATE, *contract.state) if contract.name == "sys" else contract.state
    lines = [
        f"## {contract.name}",
        "",
        contract.purpose,
        "",
        "| state | key | value | |",
        "|---|---|---|---|",
    ]
    lines += [
        row(f"`{one.contract}/{one.name}`", one.key.name, write_fields(one.value), one.note) for one in state
    ]
    lines += ["", "| message | number | lane 0 | fields | refused with |", "|---|---|---|---|---|"]
    for kind in contract.messages:
        refusals: tuple[type[Rejected], ...] = (*kind.refusals, NotSigned)
        numbers = sorted({refusal.number for refusal in refusals})
        lines.append(
            row(
                f"`{kind.name}`",
                str(kind.number),
                "yes" if kind.is_urgent else "no",
                write_fields(kind.schema),
                ", ".join(map(str, numbers)),
            )
        )
    lines += ["", "| event | fields |", "|---|---|"]
    lines += [row(f"`{kind.name}`", write_fields(kind.schema)) for kind in contract.events]
    own: set[type[Rejected]] = {
        refusal
        for kind in contract.messages
        for refusal in kind.refusals
        if refusal.number // 100 == kind.number // 100
    }
    if contract.name == "governance":
        lines += ["", *write_actions()]
    return [*lines, "", *write_refusals(tuple(own)), ""]


def write_actions() -> list[str]:
    """A table of what a proposal may do."""
    lines = ["| action of a proposal | number | fields | refused with |", "|---|---|---|---|"]
    for kind in ACTIONS:
        numbers = sorted({refusal.number for refusal in kind.refusals})
        lines.append(
            row(f"`{kind.name}`", str(kind.number), write_fields(kind.schema), ", ".join(map(str, numbers)))
        )
    return lines


def build() -> str:
    """The whole page."""
    lines = [INTRODUCTION, "## Encodings", "", "| what | fields |", "|---|---|"]
    named: tuple[tuple[str, Schema[object]], ...] = (
        ("transaction", transaction.TRANSACTION),
        ("body", transaction.BODY),
        ("authenticator", transaction.AUTHENTICATOR),
        ("key", KEY),
        ("WebAuthn key", WEBAUTHN_KEY),
        ("assertion", ASSERTION),
        ("block", BLOCK),
        ("genesis", genesis.GENESIS),
        ("map proof", map_proof.MAP_PROOF),
        ("evidence", EVIDENCE),
        ("seat", SEAT),
        ("proposal's body", BODY),
        ("due", DUE),
    )  # type: ignore[assignment]
    lines += [row(name, write_fields(schema)) for name, schema in named]
    lines += ["", "## Refusals of the envelope", "", *write_refusals(ENVELOPE_REFUSALS), ""]
    for contract in CONTRACTS:
        lines += write_contract(contract)
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Writes or checks."""
    text = build()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.exists() or TARGET.read_text("utf-8") != text)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
