"""Votes: a row for each refusal, which leaves no trace; every wrong key; and the vectors of a network's governance."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from careledger.contracts import (
    actions,
    governance,
    identity,
    proposals,
    sys,
    validators,
    voting,
)
from careledger.contracts import (
    admission as asking,
)
from careledger.contracts.identity import DEACTIVATE, PRACTITIONER, REGISTER, Deactivate, Register
from careledger.contracts.parameters import BOUNDS, ParameterOutOfBounds, ParameterUnknown
from careledger.ledger.consensus.replica import Replica
from careledger.ledger.execution import Overlay, UnusedAuthenticator
from careledger.ledger.kernel import ED25519, ML_DSA_65, Key, NotSigned
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import SecretKey
from careledger.primitives.hashing import sha256
from careledger.primitives.types import Did, compute_did
from tests.contracts.network import (
    CLINIC,
    DAY_MS,
    EVERYBODY,
    HOSPITAL,
    LABORATORY,
    MAKER,
    NEWCOMER,
    PAYER,
    PHARMACY,
    RULES,
    NetworkPlay,
    Org,
    add_validator,
    admission,
    change_parameter,
    evidence,
    found_message,
    jail,
    make_genesis,
    propose_message,
    remove_organisation,
    remove_validator,
    set_weight,
    unjail,
    upgrade,
)
from tests.ledger.play import START_MS, Party

H, C, L, P, N = HOSPITAL, CLINIC, LABORATORY, PHARMACY, NEWCOMER
JAILED, GONE = PAYER, MAKER
MEMBER = Org("Research group")
SPARE, OTHER = (SecretKey(algorithm, sha256(b"spare engine key")) for algorithm in (ED25519, ML_DSA_65))
DOCTOR = SecretKey(ED25519, sha256(b"Dr Okafor"))
NOBODY = Did(bytes(32))
UNTIL = START_MS + 20 * DAY_MS


class Doctor:
    """A practitioner, where an organisation is needed."""

    did = compute_did(PRACTITIONER, *DOCTOR.key)


class Nobody:
    did = NOBODY


@dataclass(frozen=True)
class Row:
    """`message` is refused on the table's network. `most` is how many validators there may be, if fewer than 128."""

    message: str
    why: str
    data: bytes
    refusal: type
    keys: list[SecretKey]
    sponsor: Party = H
    most: int | None = None


def body(*acts: bytes, until: int = UNTIL, at_height: int = 0) -> proposals.Body:
    return proposals.Body(acts, until, at_height)


def proposing(
    why: str, refusal: type, *acts: bytes, by: Party = H, most: int | None = None, **changes: int
) -> Row:
    data = propose_message(by, body(*acts, **changes))
    return Row("governance.propose", why, data, refusal, by.keys, by, most)


def acting(why: str, refusal: type, by: type) -> Row:
    data = propose_message(by, body(change_parameter()))  # type: ignore[arg-type]
    return Row("governance.propose", why, data, refusal, H.keys)


def voting_on(
    why: str, refusal: type, number: int, by: Party = H, content: proposals.Body | None = None
) -> Row:
    said = proposals.compute_body_hash(content or STANDING)
    data = voting.VOTE.encode(voting.Vote(by.did, number, said, True))
    sponsor = by if isinstance(by, Party) and by is not GONE else H
    return Row("governance.vote", why, data, refusal, sponsor.keys, sponsor)


def admit(said: str = "", by: Org = H, **changes: object) -> bytes:
    made = admission(N, by, said=said)
    fields = {name: getattr(made, name) for name in made.__slots__}
    return actions.ADMIT_ORGANISATION.encode(asking.Admit(**{**fields, **changes}))


STANDING = body(change_parameter())
OPEN_NUMBER = 3


def vote_message(by: Party) -> bytes:
    said = proposals.compute_body_hash(STANDING)
    return voting.VOTE.encode(voting.Vote(by.did, OPEN_NUMBER, said, True))


ROWS = [
    acting("by nobody", identity.SubjectUnknown, Nobody),
    acting("by one that was removed", identity.SubjectInactive, GONE),
    acting("by a practitioner", identity.NotAnOrganisation, Doctor),
    proposing("by one without weight", voting.NotAVoter, change_parameter(), by=MEMBER),
    proposing("by one that is jailed", voting.NotAVoter, change_parameter(), by=JAILED),
    proposing("a fifth one", voting.TooManyProposals, change_parameter(), by=P),
    proposing("expired already", voting.ExpiryOutOfRange, change_parameter(), until=START_MS),
    proposing("open for over 30 days", voting.ExpiryOutOfRange, change_parameter(), until=START_MS + 31 * DAY_MS),
    proposing("nothing", actions.ActionMalformed),
    proposing("action 10", actions.ActionMalformed, b"\x0a"),
    proposing("an action with a trailing byte", actions.ActionMalformed, jail(C) + b"\x00"),
    proposing("an upgrade and something else", actions.UpgradeNotAlone, upgrade(), jail(C), at_height=1 << 20),
    proposing("an upgrade at no height", voting.HeightOutOfRange, upgrade()),
    proposing("a height that is past", voting.HeightOutOfRange, jail(C), at_height=1),
    proposing("a height too far ahead", voting.HeightOutOfRange, jail(C), at_height=1 << 40),
    proposing("an empty profile", sys.ProfileEmpty, upgrade(""), at_height=1 << 20),
    proposing("admit without a name", identity.OrganisationUnnamed, admit(name="")),
    proposing("admit whom there is", identity.SubjectExists, admit(root=C.root.key)),
    proposing("admit with a key of a wrong size", identity.KeyMalformed, admit(node=Key(ED25519, bytes(33)))),
    proposing("admit with another's key", identity.KeyInUse, admit(node=C.node.key)),
    proposing("admit with an engine key", identity.KeyInUse, admit(node=C.validator.key)),
    proposing("admit whose keys did not sign this", asking.KeyNotProven, admit("Another name")),
    proposing("admit who asked another", asking.KeyNotProven, admit(by=C)),
    proposing("no such parameter", ParameterUnknown, change_parameter("audit", 0)),
    *[
        proposing(f"{bound.name} {value}", ParameterOutOfBounds, change_parameter(bound.name, value))
        for bound in BOUNDS
        for value in (0, bound.least - 1, bound.most + 1)
    ],
    proposing("remove nobody", identity.SubjectUnknown, remove_organisation(Nobody)),  # type: ignore[arg-type]
    proposing("remove again", identity.SubjectInactive, remove_organisation(GONE)),
    proposing("remove a practitioner", identity.NotAnOrganisation, remove_organisation(Doctor)),  # type: ignore[arg-type]
    proposing("remove everybody", validators.LastValidator, *map(remove_organisation, (H, C, L, P))),
    proposing("a validator of nobody", identity.SubjectUnknown, add_validator(N)),
    proposing("a validator of one removed", identity.SubjectInactive, add_validator(GONE, engine=SPARE)),
    proposing("a validator of a practitioner", identity.NotAnOrganisation, add_validator(N, organisation=Doctor.did)),
    proposing("an engine key of a wrong size", identity.KeyMalformed, add_validator(MEMBER, key=Key(ED25519, bytes(33)))),
    proposing("an engine key that signs already", identity.KeyInUse, add_validator(MEMBER, engine=H.validator)),
    proposing("a root key as engine key", identity.KeyInUse, add_validator(MEMBER, engine=MEMBER.root)),
    proposing("an engine key of another algorithm", validators.EngineKeyDiffers, add_validator(MEMBER, engine=OTHER, proof=bytes(64))),
    proposing("an engine key without proof", asking.KeyNotProven, add_validator(MEMBER, proof=bytes(64))),
    proposing("an engine key proven for another", asking.KeyNotProven, add_validator(N, organisation=MEMBER.did)),
    proposing("a validator without weight", validators.WeightOutOfBounds, add_validator(MEMBER, 0)),
    proposing("a validator over all bounds", validators.WeightOutOfBounds, add_validator(MEMBER, 1_000_001)),
    proposing("a validator too heavy", validators.OrganisationTooHeavy, add_validator(MEMBER, 20)),
    proposing("one validator more than there may be", validators.TooManyValidators, add_validator(MEMBER, 10), most=4),
    proposing("weigh whom there is not", validators.ValidatorUnknown, set_weight(N, 1)),
    proposing("weigh a jailed one", validators.ValidatorNotActive, set_weight(JAILED, 1)),
    proposing("weight 0", validators.WeightOutOfBounds, set_weight(H, 0)),
    proposing("weight 2^64 - 1", validators.WeightOutOfBounds, set_weight(H, 2**64 - 1)),
    proposing("a third of the weight", validators.OrganisationTooHeavy, set_weight(H, 15)),
    proposing("three with unequal weights", validators.WeightsUnequal, remove_validator(P), set_weight(H, 11)),
    proposing("remove no validator", validators.ValidatorUnknown, remove_validator(N)),
    proposing("remove every validator", validators.LastValidator, *map(remove_validator, (H, C, L, P))),
    proposing("jail nobody", validators.ValidatorUnknown, jail(N)),
    proposing("jail a jailed one", validators.ValidatorNotActive, jail(JAILED)),
    proposing("jail everybody", validators.LastValidator, *map(jail, (H, C, L, P))),
    proposing("free nobody", validators.ValidatorUnknown, unjail(N)),
    proposing("free one that is active", validators.ValidatorNotJailed, unjail(H)),
    proposing("free without weight", validators.WeightOutOfBounds, unjail(JAILED, 0)),
    proposing("free one whose organisation was removed", identity.SubjectInactive, unjail(GONE, 10)),
    proposing("free with too much weight", validators.OrganisationTooHeavy, unjail(JAILED, 21)),
    Row("governance.propose", "root key absent", propose_message(H, STANDING), NotSigned, [H.node]),
    voting_on("by nobody", identity.SubjectUnknown, OPEN_NUMBER, Nobody),
    voting_on("by one that was removed", identity.SubjectInactive, OPEN_NUMBER, GONE),
    voting_on("by a practitioner", identity.NotAnOrganisation, OPEN_NUMBER, Doctor),
    voting_on("on nothing", voting.ProposalUnknown, 99, C),
    voting_on("on what is in force", voting.ProposalClosed, 1, C, body(remove_organisation(GONE))),
    voting_on("on another body", voting.BodyDiffers, OPEN_NUMBER, C, body(change_parameter(value=3_600_001))),
    voting_on("on the same actions for longer", voting.BodyDiffers, OPEN_NUMBER, C, body(change_parameter(), until=UNTIL + 1)),
    voting_on("by one without weight", voting.NotAVoter, OPEN_NUMBER, MEMBER),
    voting_on("by one that is jailed", voting.NotAVoter, OPEN_NUMBER, JAILED),
    voting_on("twice", voting.AlreadyVoted, OPEN_NUMBER, H),
    voting_on("by the author", voting.AlreadyVoted, OPEN_NUMBER, P),
    Row("governance.vote", "root key absent", vote_message(C), NotSigned, [C.node], C),
    Row("governance.found", "after the genesis", found_message(N.founder()), governance.GenesisOnly, H.keys),
    Row("identity.deactivate", "by itself, with validators", DEACTIVATE.encode(Deactivate(C.did, C.did)), identity.ValidatorStays, C.keys, C),
]  # fmt: skip

TAKEN = H.founder()
GENESES = [
    ("without a name", found_message(N.founder(), name=""), identity.OrganisationUnnamed),
    ("a founder twice", found_message(TAKEN), identity.SubjectExists),
    ("a key of a wrong size", found_message(N.founder(), node=Key(ED25519, bytes(33))), identity.KeyMalformed),
    ("a key of an engine's wrong size", found_message(N.founder(), validator=Key(ED25519, bytes(33))), identity.KeyMalformed),
    ("another's node key", found_message(N.founder(), node=H.node.key), identity.KeyInUse),
    ("another's engine key", found_message(N.founder(), validator=H.validator.key), identity.KeyInUse),
    ("root and engine key equal", found_message(N.founder(), validator=N.root.key), identity.KeyInUse),
    ("engine keys of two algorithms", found_message(N.founder(), validator=OTHER.key), validators.EngineKeyDiffers),
    ("without weight", found_message(N.founder(0)), validators.WeightOutOfBounds),
    ("too many", found_message(N.founder()), validators.TooManyValidators),
]  # fmt: skip


def prepare() -> NetworkPlay:
    """Two of six are jailed and one of these removed; a member without validators; the pharmacy's four proposals."""
    play = NetworkPlay([org.founder(10) for org in (H, C, L, P, JAILED, GONE)])
    play.run(evidence=[evidence(JAILED), evidence(GONE)])
    register = Register(H.did, PRACTITIONER, "", DOCTOR.key, None, ())
    play.accept([REGISTER.encode(register)], [*H.keys, DOCTOR])
    for by, content in [(H, body(remove_organisation(GONE))), (H, body(admit_member()))]:
        number = proposals.get_agenda(play.state).next_number
        play.accept([propose_message(by, content)], by.keys, by)
        play.vote(number, C, L)
        play.run()
        assert play.proposal(number).status == proposals.IN_FORCE
    for _ in range(proposals.OPEN_MAX):
        play.accept([propose_message(P, STANDING)], P.keys, P)
    play.vote(OPEN_NUMBER, H)
    assert play.proposal(OPEN_NUMBER).status == proposals.OPEN
    return play


def admit_member() -> bytes:
    return actions.ADMIT_ORGANISATION.encode(admission(MEMBER, H))


@pytest.fixture(scope="module")
def table() -> NetworkPlay:
    return prepare()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.message}: {row.why}" for row in ROWS])
def test_refused_messages_leave_the_state_untouched(table, row, monkeypatch):
    if row.most:
        monkeypatch.setattr(validators, "VALIDATORS_MAX", row.most)
    assert table.refuse(table.build([row.data], row.keys, row.sponsor)) == row.refusal.number


@pytest.mark.parametrize("why, message, refusal", GENESES, ids=[row[0] for row in GENESES])
def test_refused_founders(why, message, refusal, monkeypatch):
    if refusal is validators.TooManyValidators:
        monkeypatch.setattr(validators, "VALIDATORS_MAX", 1)
    with pytest.raises(refusal):
        Replica.create(MemoryKV(), make_genesis([], [found_message(TAKEN), message]), RULES)


CALLS = {
    "governance.propose": propose_message(C, body(change_parameter())),
    "governance.vote": vote_message(C),
}


@pytest.mark.parametrize("message", CALLS)
def test_only_the_root_key_decides_and_it_is_enough(message):
    play, data = prepare(), CALLS[message]
    strangers = [key for org in EVERYBODY for key in (*org.keys, org.validator) if org is not C]
    for wrong in [*strangers, C.validator, MEMBER.root, DOCTOR]:
        assert play.refuse(play.build([data], [C.node, wrong], C)) == NotSigned.number
    assert play.refuse(play.build([data], [*C.keys, H.root], C)) == UnusedAuthenticator.number
    block = play.accept([data], [C.root, H.node], H)  # whoever sponsors
    assert block.receipts[0].code == 0


@pytest.mark.vectors
def test_governance_vectors(vector):
    """A network's blocks with evidence and votes, and refused messages on the state after them."""
    play = prepare()
    begun = Replica.create(kv := MemoryKV(), play.replica.genesis, RULES)
    blocks = [play.replica.block(play.kv, height) for height in range(1, play.replica.height + 1)]
    validator_set = validators.VALIDATOR_SET.read(play.state)
    vector(
        "governance.json",
        {
            "genesis": play.replica.genesis.to_bytes().hex(),
            "genesis_validators": [
                [one.algorithm, one.public.hex(), one.power]
                for one in validators.genesis_validators(Overlay(begun.reader(kv)))
            ],
            "blocks": [play.replica.block_bytes(play.kv, block.height).hex() for block in blocks],
            "app_hashes": [block.app_hash.hex() for block in blocks],
            "validators": [
                [seat.address.hex(), seat.organisation.hex(), seat.weight] for seat in validator_set.seats
            ],
            "open": [
                [due.number, play.proposal(due.number).body_hash.hex()]
                for due in proposals.get_agenda(play.state).due
            ],
            "body": proposals.BODY.encode(STANDING).hex(),
            "refused": [
                {"message": row.message, "why": row.why, "data": row.data.hex(), "code": row.refusal.number}
                for row in ROWS
                if row.most is None
            ],
        },
    )
