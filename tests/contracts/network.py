"""A network's ledger in memory, with named organisations and a stand-in for the engine's set of validators."""

from __future__ import annotations

from collections.abc import Sequence

from careledger.contracts import (
    CONTRACTS,
    Founder,
    actions,
    governance,
    network_founding_messages,
    proposals,
    validators,
    voting,
)
from careledger.contracts.admission import Admit, compute_statement
from careledger.contracts.sys import Profile
from careledger.ledger.consensus.replica import Decided, Finalised, Replica
from careledger.ledger.execution import Overlay, Rules
from careledger.ledger.genesis import NETWORK, Genesis
from careledger.ledger.kernel import DUPLICATE_VOTE, ED25519, Evidence
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import SecretKey, build_transaction
from careledger.primitives.hashing import sha256
from tests.ledger.play import START_MS, Party

DAY_MS = 86_400_000
RULES = Rules(CONTRACTS)
PROFILE = Profile("1.0.0", "3.11", ())


class Org(Party):
    """An organisation with an engine key."""

    def __init__(self, name: str, engine: int = ED25519) -> None:
        super().__init__(name)
        self.validator = SecretKey(engine, sha256(name.encode() + b" validator"))
        self.address = validators.compute_address(self.validator.key)
        self.keys = [self.node, self.root]

    def founder(self, weight: int = 1) -> Founder:
        return Founder(self.name, self.root.key, self.node.key, self.validator.key, weight)


HOSPITAL, CLINIC, LABORATORY, PHARMACY, PAYER, MAKER, NEWCOMER = map(
    Org, ("Hospital", "Clinic", "Laboratory", "Pharmacy", "Payer", "Maker", "Newcomer")
)


def make_genesis(founders: Sequence[Founder], messages: Sequence[bytes] | None = None) -> Genesis:
    made = network_founding_messages(founders, PROFILE) if messages is None else tuple(messages)
    return Genesis(NETWORK, sha256(b"network"), START_MS, bytes(32), bytes(1312), 1 << 40, made)


def admission(party: Org, by: Org, *, said: str = "") -> Admit:
    """The newcomer asks this organisation; `said` is the name that its keys signed, if another."""
    statement = compute_statement(by.did, said or party.name, party.root.key, party.node.key, ())
    proofs = [key.sign(statement) for key in (party.root, party.node)]
    return Admit(by.did, party.name, party.root.key, party.node.key, (), *proofs)


def add_validator(party: Org, weight: int = 1, engine: SecretKey | None = None, **changes: object) -> bytes:
    key = engine or party.validator
    statement = actions.compute_validator_statement(party.did, key.key)
    fields = {"organisation": party.did, "key": key.key, "weight": weight, "proof": key.sign(statement)}
    return actions.ADD_VALIDATOR.encode(actions.AddValidator(**{**fields, **changes}))  # type: ignore[arg-type]


def set_weight(party: Org, weight: int) -> bytes:
    return actions.SET_WEIGHT.encode(actions.SetWeight(party.address, weight))


def jail(party: Org) -> bytes:
    return actions.JAIL.encode(actions.Jail(party.address))


def unjail(party: Org, weight: int = 1) -> bytes:
    return actions.UNJAIL.encode(actions.Unjail(party.address, weight))


def remove_validator(party: Org) -> bytes:
    return actions.REMOVE_VALIDATOR.encode(actions.RemoveValidator(party.address))


def remove_organisation(party: Party) -> bytes:
    return actions.REMOVE_ORGANISATION.encode(actions.RemoveOrganisation(party.did))


def change_parameter(name: str = "valid_ms_max", value: int = 3_600_000) -> bytes:
    return actions.CHANGE_PARAMETER.encode(actions.ChangeParameter(name, value))


def upgrade(code: str = "2.0.0") -> bytes:
    return actions.UPGRADE.encode(actions.Upgrade(code, "3.12", (), sha256(code.encode())))


class NetworkPlay:
    """A replica whose next block is one call away, a second after the last.

    `engine` follows what the engine is told, by the engine's own rules: it would halt where this fails.
    """

    def __init__(self, founders: Sequence[Founder]) -> None:
        self.kv = MemoryKV()
        self.replica = Replica.create(self.kv, make_genesis(founders), RULES)
        self.now_ms = START_MS
        self.engine = {
            (one.algorithm, one.public): one.power for one in validators.genesis_validators(self.state)
        }

    @property
    def state(self) -> Overlay:
        return Overlay(self.replica.reader(self.kv))

    @property
    def weights(self) -> dict[bytes, int]:
        return {seat.address: seat.weight for seat in validators.get_seats(self.state)}

    def proposal(self, number: int) -> proposals.Proposal:
        found = proposals.PROPOSALS.get(self.state, number)
        assert found is not None
        return found

    def build(
        self, messages: Sequence[bytes], keys: Sequence[SecretKey], sponsor: Party = HOSPITAL, lane: int = 1
    ) -> bytes:
        sequence = self.replica.next_sequence(self.kv, sponsor.did, lane)
        until = self.now_ms + 61_000
        return build_transaction(
            self.replica.genesis_hash, until, sponsor.did, lane, sequence, messages, keys
        )

    def run(
        self, transactions: Sequence[bytes] = (), evidence: Sequence[Evidence] = (), ms: int = 1000
    ) -> Finalised:
        """The next block."""
        self.now_ms += ms
        decided = Decided(self.replica.height + 1, self.now_ms, tuple(transactions), tuple(evidence))
        block = self.replica.finalise(self.kv, decided)
        for algorithm, public, power in validators.validator_updates(block.outcome):
            if power == 0:
                del self.engine[algorithm, public]  # whom the engine does not know it refuses to remove
            else:
                self.engine[algorithm, public] = power
        told = [(one.algorithm, one.public, one.power) for one in validators.get_powers(self.state)]
        assert sorted(told) == sorted((*key, power) for key, power in self.engine.items())
        assert self.engine, "the engine halts without validators"
        return block

    def accept(
        self, messages: Sequence[bytes], keys: Sequence[SecretKey], sponsor: Party = HOSPITAL, lane: int = 1
    ) -> Finalised:
        block = self.run([self.build(messages, keys, sponsor, lane)])
        assert block.receipts[0].code == 0, block.receipts[0].reason
        return block

    def refuse(self, transaction: bytes) -> int:
        """Runs one transaction, which must leave the state of an empty block; its code."""
        fork = self.kv.copy()
        empty = Replica.open(fork, RULES)
        block = self.run([transaction])
        decided = Decided(block.height, block.time_ms, ())
        assert empty.finalise(fork, decided).app_hash == block.app_hash
        return block.receipts[0].code

    # what organisations say

    def body(self, *acts: bytes, expiry_ms: int = DAY_MS, at_height: int = 0) -> proposals.Body:
        return proposals.Body(acts, self.now_ms + expiry_ms, at_height)

    def propose(self, by: Org, *acts: bytes, expiry_ms: int = DAY_MS, at_height: int = 0) -> int:
        """The number of the new proposal."""
        body = self.body(*acts, expiry_ms=expiry_ms, at_height=at_height)
        number = proposals.get_agenda(self.state).next_number
        self.accept([propose_message(by, body)], by.keys, by)
        return number

    def vote_message(self, by: Party, number: int, is_for: bool = True) -> bytes:
        return voting.VOTE.encode(voting.Vote(by.did, number, self.proposal(number).body_hash, is_for))

    def vote(self, number: int, *by: Org, is_for: bool = True) -> None:
        """One block a vote."""
        for one in by:
            self.accept([self.vote_message(one, number, is_for)], one.keys, one)

    def decide(self, by: Org, *acts: bytes, at_height: int = 0) -> int:
        """Proposed, agreed by every other organisation with weight until it passes, and in force."""
        number = self.propose(by, *acts, at_height=at_height)
        for did, _ in self.proposal(number).voters:
            if self.proposal(number).status == proposals.OPEN and did != by.did:
                one = next(org for org in EVERYBODY if org.did == did)
                self.vote(number, one)
        self.run()
        return number


EVERYBODY = (HOSPITAL, CLINIC, LABORATORY, PHARMACY, PAYER, MAKER, NEWCOMER)


def propose_message(by: Party, body: proposals.Body) -> bytes:
    return voting.PROPOSE.encode(voting.Propose(by.did, body))


def found_message(founder: Founder, **changes: object) -> bytes:
    fields = {
        "name": founder.name,
        "root": founder.root,
        "node": founder.node,
        "end_points": (),
        "validator": founder.validator,
        "weight": founder.weight,
    }
    return governance.FOUND.encode(governance.Found(**{**fields, **changes}))  # type: ignore[arg-type]


def evidence(party: Org, kind: int = DUPLICATE_VOTE, height: int = 1) -> Evidence:
    return Evidence(kind, party.address, height, START_MS, 1)


def equal(*orgs: Org) -> NetworkPlay:
    """A network of these, with equal weights."""
    return NetworkPlay([org.founder() for org in orgs])


def four() -> NetworkPlay:
    return equal(HOSPITAL, CLINIC, LABORATORY, PHARMACY)
