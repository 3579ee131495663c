"""What a patient decides, as her device hands it in: grants, revocations, and what stands.

The node never sees a private key: it gives what has to be signed for (`prepare`), and takes public keys, sealed
texts and signatures. It checks everything before it sponsors, because what it writes into a chart stays there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from careledger.access.directives import (
    DAY_MS,
    Directive,
    DirectiveLeaf,
    Text,
    compute_commitment,
    encode_leaf,
    from_base64,
    leaf_terms,
    to_base64,
)
from careledger.access.grants import (
    GRANT_LANE,
    REVOCATION_LANE,
    Envelope,
    complete,
    compose_grant,
    compose_revocation,
)
from careledger.access.standing import Standing
from careledger.contracts.consent import ACTIVE, entry_key
from careledger.fhir.consents import day, render
from careledger.fhir.freshid import fresh_id
from careledger.fhir.json import Received, instant, loads
from careledger.fhir.writing import compose
from careledger.ledger.execution import ACCOUNTS
from careledger.ledger.transaction import compute_id
from careledger.node import apps, directives, names
from careledger.node.directives import Held
from careledger.primitives.errors import Conflict, Invalid, NotFound, VerificationFailed
from careledger.primitives.signing import ML_DSA_65_PUBLIC_SIZE, verify_ml_dsa_65
from careledger.primitives.types import Did
from careledger.vault.commitments import Kind
from careledger.vault.model import (
    DIRECTIVE_TYPE,
    AccessEntry,
    Commit,
    ResourceWrite,
    Snapshot,
)

if TYPE_CHECKING:
    from careledger.node.commands import CommandContext, Progress

LOCK: Final = DIRECTIVE_TYPE
"""One enrolment, grant or revocation at a time: each builds on what the chart and the lane hold."""
VALID_MS: Final = 3_600_000
ATTEMPTS: Final = 4


class ChartParams(msgspec.Struct, forbid_unknown_fields=True):
    """A chart by its patient, or by a directive in it; `dids` are asked for their kinds, `practitioners` if there."""

    patient: str = ""
    id: str = ""
    dids: list[str] = []
    practitioners: list[str] = []


class GrantParams(msgspec.Struct, forbid_unknown_fields=True):
    """A directive as the device made it; `signature` is of its own `key`, over the transaction's id.

    `told` is the digest of what an app's consent page showed; b"" for every other directive.
    """

    patient: str
    text: bytes
    salt: bytes
    binding: bytes
    key: bytes
    revocation_hash: bytes
    sequence: int
    valid_until: int
    signature: bytes
    told: bytes = b""


class RevokeParams(msgspec.Struct, forbid_unknown_fields=True):
    """A revocation: by `code`, or by the directive's `key` with its signature over the transaction's id."""

    id: str
    code: bytes = b""
    key: bytes = b""
    sequence: int = 0
    valid_until: int = 0
    signature: bytes = b""


class ListParams(msgspec.Struct, forbid_unknown_fields=True):
    """Whose directives."""

    patient: str


P = TypeVar("P")


def read_params(params: dict[str, Any], kind: type[P]) -> P:
    """The parameters, of exactly this shape. Raises Invalid."""
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError:
        raise Invalid(
            "the parameters are not as they must be", hint="client and node differ in version"
        ) from None


async def prepare(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What a device must know to decide about a chart: handle, enrolled key, ledger, next sequence of grants."""
    asked = read_params(params, ChartParams)
    with node.reader.snapshot() as snapshot:
        held = _held(snapshot, asked.id) if asked.id else None
        patient = asked.patient if held is None else directives.patient_of(snapshot, held)
        chart = directives.chart_of(snapshot, patient)
        keys = directives.enrolled_keys(snapshot, chart)
        kinds = {did: directives.kind_of(snapshot, did) for did in asked.dids}
        people = ((name, snapshot.current("Practitioner", name)) for name in asked.practitioners)
        return {
            "patient": patient,
            "organisation": node.home.organisation,
            "handle": node.home.keyring.get(chart).handle,
            "chain": node.home.the_ledger.chain_id,
            "key": keys[-1].key if keys else b"",
            "credential": keys[-1].credential if keys else b"",
            "names": names.names_of(snapshot, (node.home.did, *asked.dids), asked.practitioners),
            "kinds": {did: {"kind": kind, "known": known} for did, (kind, known) in kinds.items()},
            "strangers": [name for name, found in people if found is None or found.deleted],
            "delay_s": node.config.consent.grant_delay_seconds,
            **_envelope(node, snapshot, GRANT_LANE),
        }


async def prepare_revocation(
    node: CommandContext, params: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """What a device must know to sign a revocation: the directive's nonce and key, next sequence of revocations."""
    asked = read_params(params, ChartParams)
    with node.reader.snapshot() as snapshot:
        held = _held(snapshot, asked.id)
        entry = directives.entry_of(snapshot, held.id)
        return {
            "active": entry is not None and entry.status == ACTIVE,
            "nonce": from_base64(held.text().nonce),
            "key": from_base64(held.leaf.key),
            "chain": node.home.the_ledger.chain_id,
            **_envelope(node, snapshot, REVOCATION_LANE),
        }


async def grant(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The directive is in the chart and in force on the ledger, and its Consent written: all three, or nothing.

    On a network the chart follows the block: a node that ends between the two leaves an entry that nobody has the text
    of, and which has no force; the patient was not told that it was granted.
    """
    asked = read_params(params, GrantParams)
    if len(asked.salt) != directives.SALT_BYTES or len(asked.revocation_hash) != 32:
        raise Invalid("the salt or the revocation hash has not 32 bytes", hint="see docs/spec/consent.md")
    _check_key(asked.key)
    commitment = compute_commitment(asked.salt, asked.text)
    id = commitment.hex()
    async with node.sequencer.conditional_lock(LOCK):
        with node.reader.snapshot() as snapshot:
            chart = directives.chart_of(snapshot, asked.patient)
            keys = directives.enrolled_keys(snapshot, chart)
            leaf = DirectiveLeaf(
                binding=to_base64(asked.binding),
                consent=fresh_id(),
                controller=keys[-1].id if keys else "",
                key=to_base64(asked.key),
                salt=to_base64(asked.salt),
                text=to_base64(asked.text),
            )
            handle = node.home.keyring.get(chart).handle
            text = directives.check_new(id, leaf, asked.text, keys, node.home.organisation, handle)
            directives.check_text(snapshot, text, node.backend.now_ms() // DAY_MS)
            names.check_shown(snapshot, text, node.home.did, keys[-1], asked.told)
            directives.check_superseded(snapshot, text, chart)
            if snapshot.current(DIRECTIVE_TYPE, id) is not None:
                raise Conflict("this directive was granted already", hint="careledger consent list PATIENT")
        envelope = _given(node, asked.sequence, asked.valid_until)
        body = compose_grant(envelope, commitment, asked.key, text.until_day, asked.revocation_hash)
        _check_signed(asked.key, body, asked.signature)
        transaction = complete(body, node.home.keys.node_seed, asked.key, asked.signature)
        now_ms = node.backend.now_ms()
        own = leaf_write(
            now_ms,
            DIRECTIVE_TYPE,
            id,
            asked.patient,
            encode_leaf(leaf),
            Kind.DIRECTIVE,
            leaf_terms(DIRECTIVE_TYPE, encode_leaf(leaf)),
        )
        shown = _consent_write(node, text, id, leaf.consent, asked.patient, now_ms, now_ms, 0, active=True)
        result = await node.backend.commit(Commit((own, shown), transactions=(transaction,)))
    with node.reader.snapshot() as snapshot:
        entry = snapshot.state(entry_key(commitment))
    return {"id": id, "consent": f"Consent/{leaf.consent}", "height": result.height, "entry": entry}


async def revoke(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The directive is without force on the ledger, and its Consent inactive; every worker sees it when this returns.

    On a network the Consent follows the block: what was cut short in between is finished when it is repeated.
    """
    asked = read_params(params, RevokeParams)
    directives.check_id(asked.id)
    with node.reader.snapshot() as snapshot:
        held = directives.directive(snapshot, asked.id)
    try:
        async with node.sequencer.conditional_lock(LOCK):
            done = await _revoke(node, asked)
    except Conflict:  # revoked already: what an interrupted revocation left undone is done now
        await apps.end_revoked(node, held)
        raise
    await apps.end_revoked(node, held)
    return done


async def _revoke(node: CommandContext, asked: RevokeParams) -> dict[str, Any]:
    id = asked.id
    for attempt in range(1, ATTEMPTS + 1):
        with node.reader.snapshot() as snapshot:
            entry = directives.entry_of(snapshot, id)
            if entry is None:
                raise _unknown()
            is_active, held = entry.status == ACTIVE, directives.directive(snapshot, id)
            if not is_active and attempt == 1 and not _is_shown_active(snapshot, held):
                raise Conflict("the directive is revoked already", hint="careledger consent list PATIENT")
            transactions = (_revocation(node, snapshot, asked),) if is_active else ()
            writes = _inactive(node, snapshot, held)
        done = {"id": id, "status": "revoked", "height": entry.height}
        if not writes and not transactions:  # the Consent was deleted meanwhile
            return done
        try:
            result = await node.backend.commit(Commit(writes, transactions=transactions))
        except Conflict as error:
            # Somebody wrote the Consent over FHIR meanwhile; anything else is final.
            if error.code != Conflict.code or attempt == ATTEMPTS:
                raise
            continue
        return done | {"height": result.height} if is_active else done
    raise AssertionError  # the loop returns or raises


def _is_shown_active(snapshot: Snapshot, held: Held | None) -> bool:
    """Whether the directive's Consent is there and does not say that it has ended."""
    shown = None if held is None else snapshot.current("Consent", held.leaf.consent)
    return shown is not None and not shown.deleted and loads(snapshot.body(shown)).get("status") != "inactive"


def _revocation(node: CommandContext, snapshot: Snapshot, asked: RevokeParams) -> bytes:
    """The signed transaction; by a code it is the node's alone, and carries the code."""
    commitment = bytes.fromhex(asked.id)
    if asked.code:
        if len(asked.code) != 32:
            raise Invalid(
                "a revocation code has 32 bytes", hint="64 hex digits, as `consent grant` printed them"
            )
        envelope = _given(node, **_next(node, snapshot, REVOCATION_LANE))
        return complete(compose_revocation(envelope, commitment, code=asked.code), node.home.keys.node_seed)
    _check_key(asked.key)
    body = compose_revocation(_given(node, asked.sequence, asked.valid_until), commitment, public=asked.key)
    _check_signed(asked.key, body, asked.signature)
    return complete(body, node.home.keys.node_seed, asked.key, asked.signature)


def _inactive(node: CommandContext, snapshot: Snapshot, held: Held | None) -> tuple[ResourceWrite, ...]:
    """The next version of the directive's Consent; none where it was deleted or erased: the ledger decides, not it."""
    if held is None:
        return ()
    shown = snapshot.current("Consent", held.leaf.consent)
    if shown is None or shown.deleted:
        return ()
    patient = directives.patient_of(snapshot, held)
    now_ms = max(node.backend.now_ms(), shown.time_ms + 1)
    write = _consent_write(
        node,
        held.text(),
        held.id,
        shown.id,
        patient,
        held.version.time_ms,
        now_ms,
        shown.version,
        active=False,
    )
    return (write,)


async def show(node: CommandContext, params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The directives of a chart, oldest first; that they were shown is in the chart's access log."""
    asked = read_params(params, ListParams)
    with node.reader.snapshot() as snapshot:
        chart = directives.chart_of(snapshot, asked.patient)
        keys = directives.enrolled_keys(snapshot, chart)
        found = list_held(snapshot, chart)
        height = snapshot.ledger_height
    entry = operator_entry(
        node,
        chart,
        "consents",
        f"Patient/{asked.patient}",
        height,
        tuple(held.version.leaf for _, held in found),
    )
    await node.backend.log_access((entry,))
    shown = [describe(one, held) for one, held in found]
    return {"patient": asked.patient, "key": keys[-1].id if keys else "", "directives": shown}


def list_held(snapshot: Snapshot, chart: int) -> list[tuple[Directive, Held]]:
    """The directives of a chart that can be read, oldest first: how each stands, and what the chart holds of it."""
    held = {one.id: one for one in directives.directives_of(snapshot, chart)}
    return [(one, held[one.id]) for one in Standing().all_directives(snapshot, chart) if one.id in held]


def describe(directive: Directive, held: Held) -> dict[str, Any]:
    """A directive in plain fields, as the command line and `/api` show it."""
    text = directive.text
    return {
        "id": directive.id,
        "effect": text.effect,
        "grantees": [f"{one.kind}:{one.value}" for one in text.grantees],
        "purposes": list(text.purposes),
        "types": list(text.types),
        "categories": [f"{one.system}|{one.code}" if one.system else one.code for one in text.categories],
        "labels": [f"{one.system}|{one.code}" if one.system else one.code for one in text.labels],
        "actions": list(text.actions),
        "from": day(text.from_day),
        "until": day(text.until_day),
        "status": directive.status,
        "bound": directive.bound,
        "supersedes": text.supersedes,
        "consent": f"Consent/{held.leaf.consent}",
        "height": directive.height,
        "granted": instant(held.version.time_ms),
    }


def operator_entry(
    node: CommandContext, chart: int, kind: str, what: str, height: int, leaves: tuple[int, ...] = ()
) -> AccessEntry:
    """The access entry of what the operator's command line shows."""
    return AccessEntry(
        chart=chart,
        request_id=os.urandom(16),
        actor="operator",
        client="careledger",
        organisation=node.home.did,
        purpose="HOPERAT",
        rule="operator",
        permitted=True,
        kind=kind,
        what=what,
        height=height,
        time_ms=node.backend.now_ms(),
        leaves=leaves,
    )


def leaf_write(
    now_ms: int,
    type: str,
    id: str,
    patient: str,
    body: bytes,
    kind: Kind,
    chart_terms: tuple[bytes, ...] = (),
) -> ResourceWrite:
    """A chart leaf that is no FHIR resource; its author is the patient."""
    return ResourceWrite(
        type,
        id,
        0,
        body,
        now_ms,
        (patient,),
        f"Patient/{patient}",
        chart_terms=chart_terms,
        kind=int(kind),
    )


def _consent_write(
    node: CommandContext,
    text: Text,
    id: str,
    consent: str,
    patient: str,
    decided_ms: int,
    time_ms: int,
    base_version: int,
    *,
    active: bool,
) -> ResourceWrite:
    resource = render(text, id, patient, decided_ms, active=active)
    return compose(
        "Consent",
        consent,
        Received(resource),
        base_version,
        time_ms,
        (patient,),
        f"Patient/{patient}",
        node.backend.base_url,
    )


def _held(snapshot: Snapshot, id: str) -> Held:
    held = directives.directive(snapshot, id)
    if held is None:
        raise _unknown()
    return held


def _unknown() -> NotFound:
    return NotFound("there is no directive of this id here", hint="careledger consent list PATIENT")


def _next(node: CommandContext, snapshot: Snapshot, lane: int) -> dict[str, int]:
    """The next sequence of this node's organisation in a lane, and until when a transaction shall be valid."""
    data = snapshot.state(ACCOUNTS.state_key(Did(node.home.organisation)))
    lanes = dict(ACCOUNTS.value.decode(data).lanes) if data else {}
    time_ms = node.backend.now_ms()
    return {"sequence": lanes.get(lane, 0), "valid_until": time_ms + VALID_MS}


def _envelope(node: CommandContext, snapshot: Snapshot, lane: int) -> dict[str, Any]:
    return {
        "genesis_hash": node.home.the_ledger.genesis_hash,
        "sponsor": node.home.organisation,
        **_next(node, snapshot, lane),
    }


def _given(node: CommandContext, sequence: int, valid_until: int) -> Envelope:
    """The envelope that the device signed, if it signed this node's; the ledger refuses every other."""
    if not (0 <= sequence < 2**64 and 0 <= valid_until < 2**64):
        raise Invalid("sequence or time is out of range", hint="client and node differ in version")
    ledger = node.home.the_ledger
    return Envelope(ledger.genesis_hash, Did(node.home.organisation), sequence, valid_until)


def _check_key(key: bytes) -> None:
    if len(key) != ML_DSA_65_PUBLIC_SIZE:
        raise Invalid("a directive's key is an ML-DSA-65 key", hint=f"{ML_DSA_65_PUBLIC_SIZE} bytes")


def _check_signed(key: bytes, body: bytes, signature: bytes) -> None:
    try:
        verify_ml_dsa_65(key, compute_id(body), signature)
    except VerificationFailed:
        raise VerificationFailed(
            "the directive's own key did not sign this transaction",
            hint="use the key file that granted it, or its printed code",
            code="not-signed",
        ) from None
