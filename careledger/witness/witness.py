"""The witness: it signs a checkpoint only if it continues the last one that it signed of that ledger.

One call at a time; what is signed is durable before the signature is returned (C2SP tlog-witness). Nothing is trusted
at first use: a ledger is known by a checkpoint file that somebody handed over.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from careledger.ledger.checkpoint import (
    COSIGNATURE_TYPE,
    NoteSignature,
    SignedCheckpoint,
    cosign,
    origin_of,
    parse_note,
)
from careledger.ledger.log import roots_from_consistency, verify_consistency
from careledger.ledger.proof_files import CheckpointFile, decode_file
from careledger.ledger.verification import NoteKey, Trust, check_note, read_trust
from careledger.ledger.witnessing import SIZE_TYPE, Submission, decode_submission
from careledger.primitives.errors import Conflict, Corrupt, Invalid, Misconfigured, VerificationFailed
from careledger.primitives.signing import ed25519_public_key
from careledger.primitives.types import ChainId
from careledger.witness.folder import Evidence, StoredLog, WitnessFolder

ORIGIN_START = origin_of(ChainId(""))
PLAIN = "text/plain; charset=utf-8"

Report = Callable[[str, str, int], None]
"""(a fixed phrase, chain id, height): what the process says in its log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness says: an HTTP status, a body and its type."""

    status: int
    body: str
    content_type: str = PLAIN


@dataclass(slots=True)
class KnownLog:
    """A ledger that the witness follows; `latest` is durable."""

    trust: Trust
    latest: SignedCheckpoint
    time_s: int
    evidence: list[Evidence] = field(default_factory=list)


class Witness:
    """Signs for one folder, which it holds until `close`. `clock_s` gives seconds since 1970."""

    def __init__(
        self, folder: WitnessFolder, seed: bytes, clock_s: Callable[[], int], report: Report | None = None
    ) -> None:
        """Raises Conflict if another process runs it, Misconfigured for another's key, Corrupt for a lost word."""
        if ed25519_public_key(seed) != folder.key.public:
            raise Misconfigured(
                "the key is not this witness's", hint="put back the folder that belongs to it"
            )
        self._folder = folder
        self._seed = seed
        self._clock_s = clock_s
        self._report = report or (lambda phrase, chain, height: None)
        self._logs: dict[str, KnownLog] = {}
        folder.hold()
        try:
            for chain in folder.chains():
                self._find(chain)
        except BaseException:
            folder.release()
            raise

    def close(self) -> None:
        """Sign nothing any more."""
        self._folder.release()

    def is_known(self, chain: str) -> bool:
        """Whether the ledger is followed."""
        return self._find(chain) is not None

    def follow(self, file: bytes) -> None:
        """Know the ledger of this checkpoint file from now on, beginning with its checkpoint, if it is not known.

        Raises VerificationFailed for a file that does not hold, Conflict if the ledger is known by other keys.
        """
        trust = read_trust(file)
        known = self._find(trust.chain)
        if known is None:
            add_log(self._folder, self._seed, file, self._clock_s())
        elif set(known.trust.keys) != set(trust.keys):
            raise Conflict(
                "this ledger is known by other keys", hint="a witness does not change the keys of a ledger"
            )

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to `POST …/add-checkpoint`. Raises OSError if what it would sign cannot be made durable."""
        try:
            submission = decode_submission(body)
        except Invalid as invalid:
            return Answer(400, f"{invalid.message}\n")
        origin = submission.note.checkpoint.origin
        known = self._find(origin.removeprefix(ORIGIN_START)) if origin.startswith(ORIGIN_START) else None
        if known is None:
            return Answer(404, "this ledger is not known here\n")
        try:
            offered = check_signed(submission.note, known.trust)
        except VerificationFailed as refused:
            return Answer(403, f"{refused.message}\n")
        return self._decide(known, submission, offered)

    def _decide(self, known: KnownLog, submission: Submission, offered: SignedCheckpoint) -> Answer:
        head, size = known.latest.checkpoint, offered.checkpoint.size
        at = Answer(409, f"{head.size}\n", SIZE_TYPE)
        if submission.old > size:
            return Answer(400, "the old size is above the checkpoint's\n")
        if size == head.size and offered.checkpoint.root != head.root:
            self._keep(known, submission, offered, "two roots of one size", proven=True)
            return at
        if submission.old != head.size:
            return at
        try:
            verify_consistency(head.size, size, submission.path, head.root, offered.checkpoint.root)
        except VerificationFailed:
            proven = convicts(submission, head.root)
            self._keep(known, submission, offered, "it does not continue the last one", proven=proven)
            return Answer(422, "the checkpoint does not continue the last one that was signed here\n")
        return self._sign(known, offered)

    def _sign(self, known: KnownLog, offered: SignedCheckpoint) -> Answer:
        time_s = max(self._clock_s(), known.time_s)
        key = self._folder.key
        line = cosign(offered.checkpoint, key.name, self._seed, key.public, time_s)
        if offered.checkpoint.size > known.latest.checkpoint.size:
            signed = offered.with_signature(line)
            self._folder.write_latest(known.trust.chain, signed.note())
            known.latest, known.time_s = signed, time_s
        return Answer(200, line.line())

    def _keep(
        self, known: KnownLog, submission: Submission, offered: SignedCheckpoint, reason: str, *, proven: bool
    ) -> None:
        """Keep both notes: together they may convict whoever holds the ledger's keys."""
        checkpoint = offered.checkpoint
        evidence = Evidence(
            known=known.latest.note(),
            offered=offered.note(),
            old=submission.old,
            path=[base64.b64encode(digest).decode() for digest in submission.path],
            proven=proven,
            reason=reason,
            time_s=self._clock_s(),
        )
        name = f"{checkpoint.size}-{checkpoint.root[:8].hex()}"
        if self._folder.write_evidence(known.trust.chain, name, evidence):
            known.evidence.append(evidence)
            phrase = "the ledger has forked" if proven else "a checkpoint does not continue the last one"
            self._report(phrase, known.trust.chain, checkpoint.height)

    def _find(self, chain: str) -> KnownLog | None:
        """A ledger in memory, or one that was added to the folder meanwhile."""
        found = self._logs.get(chain)
        if found is None:
            stored = self._folder.read_log(chain) if chain.startswith("cl-") and len(chain) == 35 else None
            if stored is None:
                return None
            found = self._logs[chain] = read_known(stored, self._folder)
        return found


def add_log(folder: WitnessFolder, seed: bytes, file: bytes, time_s: int) -> str:
    """Make the ledger of a checkpoint file known, and sign that checkpoint: what comes must continue it.

    The chain id. Raises VerificationFailed for a file that does not hold, Conflict if the ledger is known.
    """
    trust = read_trust(file)
    note = parse_note(file_note(file))
    line = cosign(note.checkpoint, folder.key.name, seed, folder.key.public, time_s)
    folder.add_log(trust.chain, file, only_of(note, trust.keys).with_signature(line).note())
    return trust.chain


def read_known(stored: StoredLog, folder: WitnessFolder) -> KnownLog:
    """A stored log, if this witness signed what it says it signed. Raises Corrupt."""
    own = NoteKey(folder.key.name, COSIGNATURE_TYPE, folder.key.public)
    try:
        trust = read_trust(stored.trust)
        signed = check_note(stored.latest, trust.chain, (*trust.keys, own))
        note = parse_note(stored.latest)
    except (VerificationFailed, Invalid):
        signed = None
    if signed is None or trust.chain != stored.chain or own not in signed.signers:
        raise Corrupt(
            f"what the witness signed last of {stored.chain} is damaged",
            hint="a witness that lost what it signed must be retired: make a new one, with a new key and name",
            code="witness-damaged",
        )
    time_s = next(int.from_bytes(one.signature[:8], "big") for one in note.signatures if is_by(one, own))
    return KnownLog(trust, note, time_s, list(stored.evidence))


def check_signed(note: SignedCheckpoint, trust: Trust) -> SignedCheckpoint:
    """The note with the lines of the ledger's keys only, if every one of these keys signed it."""
    ours = only_of(note, trust.keys)
    signers = check_note(ours.note(), trust.chain, trust.keys).signers if ours.signatures else frozenset()
    if not set(trust.keys) <= signers:
        raise VerificationFailed("the checkpoint is not signed by the keys of its ledger")
    return ours


def convicts(submission: Submission, known_root: bytes) -> bool:
    """Whether a refused path shows that the signed new log begins otherwise than the known one.

    If it leads to the new root, it also leads to the root of that log's first `old` leaves. It cannot show it where
    `old` is a power of two: there the path leaves the old root out.
    """
    checkpoint = submission.note.checkpoint
    if not 0 < submission.old < checkpoint.size or not submission.old & (submission.old - 1):
        return False
    try:
        begins, whole = roots_from_consistency(submission.old, checkpoint.size, submission.path)
    except VerificationFailed:
        return False
    return whole == checkpoint.root and begins != known_root


def only_of(note: SignedCheckpoint, keys: tuple[NoteKey, ...]) -> SignedCheckpoint:
    """The note without the lines of other keys."""
    names = {(key.name, key.key_id) for key in keys}
    kept = tuple(one for one in note.signatures if (one.name, one.key_id) in names)
    return SignedCheckpoint(note.checkpoint, kept)


def is_by(line: NoteSignature, key: NoteKey) -> bool:
    """Whether a signature line names this key."""
    return (line.name, line.key_id) == (key.name, key.key_id)


def file_note(file: bytes) -> str:
    """The note of a checkpoint file that `read_trust` accepted."""
    return decode_file(file, CheckpointFile, "the trust file").note
