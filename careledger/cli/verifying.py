"""`careledger verify`: proofs checked offline, by what a stranger has: the file, and a checkpoint that she trusts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from careledger.cli.errors import UsageError
from careledger.cli.options import JsonFlag
from careledger.cli.output import print_result
from careledger.cli.proof import read_bounded

KEY_BYTES_MAX = 65_536
_NAMES = {"careledger/chart/1": "the whole chart", "careledger/access-log/1": "the whole access log"}


def verify(
    file: Annotated[Path, Parameter(name="FILE", help="A receipt, a chart export or an access-log export.")],
    /,
    *,
    trust: Annotated[Path, Parameter(help="A checkpoint of the same ledger that you trust.")],
    body: Annotated[
        Path | None, Parameter(help="With a receipt: the resource as it was served, to compare.")
    ] = None,
    earlier: Annotated[
        Path | None,
        Parameter(help="With an export: one of the same chart, of which all must still be there."),
    ] = None,
    key: Annotated[
        Path | None,
        Parameter(help="With a chart export: the patient's key file, or the id of the enrolled key."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Verify a receipt or an export offline; exits 0 only if all is well."""
    from careledger.ledger.export_files import EXPORT_BYTES_MAX, read_format

    content = read_bounded(file, EXPORT_BYTES_MAX)
    if read_format(content) in _NAMES:
        if body is not None:
            raise UsageError("--body is for receipts", hint="leave it out: an export holds the bodies")
        result = _verify_export(content, read_bounded(trust), earlier, key)
    else:
        if earlier is not None or key is not None:
            raise UsageError("--earlier and --key are for exports", hint="leave them out")
        result = _verify_receipt(content, read_bounded(trust), body)
    print_result(result, as_json=json)


def _verify_receipt(content: bytes, trust: bytes, body: Path | None) -> dict[str, Any]:
    from careledger.ledger.verification import verify_receipt

    compared = read_bounded(body) if body is not None else None
    verified = verify_receipt(content, trust, compared, now_ms=time.time_ns() // 1_000_000)
    header = verified.header
    return {
        "holds": f"version {header.version} of {header.type}/{header.id}",
        "level": verified.level,
        "as_of": compute_time(verified.as_of_ms),
        "height": verified.height,
        "chain": verified.chain,
        "organisation": f"did:careledger:{header.organisation.hex()}",
        "recorded": compute_time(header.time_ms),
        "leaf": verified.index,
        "chart_size": verified.chart_size,
        "body_checked": verified.body_checked,
    }


def _verify_export(content: bytes, trust: bytes, earlier: Path | None, key: Path | None) -> dict[str, Any]:
    from careledger.ledger.export_files import EXPORT_BYTES_MAX
    from careledger.ledger.export_verification import verify_export

    verified = verify_export(
        content,
        trust,
        None if earlier is None else read_bounded(earlier, EXPORT_BYTES_MAX),
        key_id=None if key is None else read_key_id(key),
        now_ms=time.time_ns() // 1_000_000,
    )
    result = {
        "holds": _NAMES[verified.format],
        "level": verified.level,
        "as_of": compute_time(verified.as_of_ms),
        "height": verified.height,
        "chain": verified.chain,
        "organisation": f"did:careledger:{verified.organisation.hex()}",
        "handle": verified.handle.hex(),
        "entries": verified.entries,
        "access_entries": verified.accesses,
        "decided_by": verified.rules,
    }
    if verified.kinds:
        result |= {
            "opened": {kind: count for kind, count in verified.kinds.items() if kind != "erased"},
            "bare": {kind: count for kind, count in verified.kinds.items() if kind == "erased"},
            "enrolled_key": verified.key_id,
            "key_checked": key is not None,
            "directives": verified.directives,
            "directives_without_force": verified.without_force,
            "moved_in": verified.moved_in,
        }
    result["continues_checkpoint_of_height"] = verified.continues - 1
    if verified.earlier is not None:
        result["earlier_entries_unchanged"] = verified.earlier
    return result


def read_key_id(file: Path) -> str:
    """The id of the key in a patient's key file, or of a file that holds the id or the public key (base64url)."""
    from careledger.access.directives import compute_key_id, from_base64
    from careledger.access.patient_keys import KeyFile, PatientKey
    from careledger.primitives.errors import Invalid

    content = read_bounded(file, KEY_BYTES_MAX)
    try:
        text = content.decode("ascii").strip()
        if text.startswith("{"):
            return compute_key_id(
                PatientKey(from_base64(msgspec.json.decode(text, type=KeyFile).seed)).public
            )
        return text if len(text) == 32 else compute_key_id(from_base64(text))
    except (UnicodeDecodeError, msgspec.DecodeError, Invalid):
        raise UsageError(
            f"{file} holds no key", hint="name the patient's key file, or a file with the key's id"
        ) from None


def compute_time(time_ms: int) -> str:
    """A time as people and FHIR write it."""
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
