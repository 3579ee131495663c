"""Writes a chain for `vectors/chains/`: every message and every action of this version, once; then the file is frozen.

`python -m tests.ledger.old_chains VERSION` writes the two files of a version and prints the rows for
`tests/ledger/test_old_chains.py`. A file that is there is never written again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from careledger.contracts import CONTRACTS, anchor_message, identity, records
from careledger.contracts.actions import ADMIT_ORGANISATION
from careledger.ledger.consensus.chain import Chain
from careledger.ledger.consensus.embedded import EmbeddedLedger
from careledger.ledger.consensus.replica import Replica
from careledger.ledger.execution import Rules
from careledger.ledger.genesis import EMBEDDED, GENESIS
from careledger.ledger.kernel import LIGHT_CLIENT_ATTACK, ML_DSA_65
from careledger.ledger.store.memory import MemoryKV
from careledger.ledger.transaction import SecretKey
from careledger.primitives.hashing import new_sha256, sha256
from tests.contracts import network as net
from tests.contracts.network import CLINIC, HOSPITAL, LABORATORY, NEWCOMER, PHARMACY, NetworkPlay
from tests.ledger import play
from tests.ledger.test_embedded import run_chain

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "chains"


def split(data: bytes) -> Iterator[bytes]:
    """The parts of a file, each behind its length (u32): genesis, then the blocks."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def replay(data: bytes) -> tuple[Chain, str]:
    """The ledger that a stored chain leads to, and SHA-256 over all app hashes on the way."""
    genesis_bytes, *blocks = split(data)
    genesis, kv, all_hashes = GENESIS.decode(genesis_bytes), MemoryKV(), new_sha256()
    ledger: EmbeddedLedger | Replica
    if genesis.mode == EMBEDDED:
        ledger = EmbeddedLedger.create(kv, genesis, CONTRACTS, play.SIGNER)
    else:
        ledger = Replica.create(kv, genesis, Rules(CONTRACTS))
    all_hashes.update(ledger.app_hash)
    for block in blocks:
        ledger.replay(kv, block)
        all_hashes.update(ledger.app_hash)
    return ledger, all_hashes.hexdigest()


def make_network_chain() -> bytes:
    """Four organisations: anchors, directives, keys, and every kind of decision."""
    made = net.four()
    blocks: list[bytes] = []
    finalise = made.replica.finalise

    def keeping(kv: MemoryKV, decided: object) -> object:
        done = finalise(kv, decided)  # type: ignore[arg-type]
        blocks.append(done.block)
        return done

    made.replica.finalise = keeping  # type: ignore[method-assign,assignment]
    _live(made)
    return b"".join(
        len(part).to_bytes(4, "big") + part for part in (made.replica.genesis.to_bytes(), *blocks)
    )


def _live(made: NetworkPlay) -> None:
    previous = records.FIRST_PREVIOUS
    for seq in range(3):
        root = sha256(b"heads %d" % seq)
        made.accept([anchor_message(HOSPITAL.did, seq, previous, root)], [HOSPITAL.node])
        previous = root
    made.accept([anchor_message(CLINIC.did, 0, records.FIRST_PREVIOUS, previous)], [CLINIC.node], CLINIC)
    amina, bela = play.Decided("Amina"), play.Decided("Bela")
    made.accept([amina.grant(), bela.grant(until_day=23_000)], [HOSPITAL.node, amina.key, bela.key])
    made.accept([amina.revoke()], [HOSPITAL.node, amina.key], lane=0)
    made.accept([bela.revoke_by_code()], [CLINIC.node], CLINIC, lane=0)
    doctor = play.Party("Dr Quill", ML_DSA_65)
    register = identity.Register(HOSPITAL.did, identity.PRACTITIONER, "", doctor.root.key, None, ())
    made.accept([identity.REGISTER.encode(register)], [*HOSPITAL.keys, doctor.root])
    fresh = SecretKey(1, sha256(b"the hospital's next node key"))
    made.accept(
        [identity.ROTATE.encode(identity.Rotate(HOSPITAL.did, identity.NODE, fresh.key))],
        [HOSPITAL.node, HOSPITAL.root, fresh],
    )
    hospital = [fresh, HOSPITAL.root]
    made.accept(
        [identity.SET_END_POINTS.encode(identity.SetEndPoints(CLINIC.did, ("https://clinic.example",)))],
        CLINIC.keys,
        CLINIC,
    )
    _decide(made, CLINIC, ADMIT_ORGANISATION.encode(net.admission(NEWCOMER, CLINIC)), hospital)
    _decide(made, CLINIC, net.add_validator(NEWCOMER), hospital)
    _decide(made, CLINIC, net.change_parameter(), hospital)
    _decide(made, CLINIC, net.jail(PHARMACY), hospital)
    _decide(made, CLINIC, net.unjail(PHARMACY), hospital)
    made.run(evidence=[net.evidence(LABORATORY), net.evidence(LABORATORY, LIGHT_CLIENT_ATTACK)])
    _decide(made, CLINIC, net.upgrade(), hospital, at_height=made.replica.height + 9)
    for _ in range(9):
        made.run()
    _decide(made, CLINIC, net.remove_organisation(PHARMACY), hospital)
    made.run([b"", b"\x00" * 40, made.build([b"\xff\xff"], [CLINIC.node], CLINIC)])


def _decide(
    made: NetworkPlay, by: net.Org, action: bytes, hospital: list[SecretKey], at_height: int = 0
) -> None:
    number = made.propose(by, action, at_height=at_height)
    for one, keys in ((HOSPITAL, hospital), (LABORATORY, LABORATORY.keys), (PHARMACY, PHARMACY.keys)):
        made.run([made.build([made.vote_message(one, number)], keys, one)])
    made.run()


def make_embedded_chain() -> bytes:
    """The first blocks of the golden chain."""
    made = run_chain(100)
    return b"".join(
        len(part).to_bytes(4, "big") + part for part in (play.make_genesis().to_bytes(), *made.blocks)
    )


if __name__ == "__main__":
    for name, make in (("network", make_network_chain), ("embedded", make_embedded_chain)):
        target = FOLDER / f"{name}-{sys.argv[1]}.bin"
        if target.exists():
            raise SystemExit(f"{target} is frozen")
        target.write_bytes(make())
        ledger, hashes = replay(target.read_bytes())
        print(f'    "{target.name}": ("{sha256(target.read_bytes()).hex()}", "{hashes}", {ledger.height}),')
