"""The states to which directives and governance lead are the stored ones: a contract that changes them is noticed.

Signatures under ML-DSA-65 differ at every run; states do not depend on them (`vectors/chain.bin` holds signed blocks).
"""

from __future__ import annotations

import pytest

from careledger.contracts import consent, parameters
from tests.contracts.test_contracts import H_SIGNS, admission, set_parameter
from tests.ledger.play import CLINIC, HOSPITAL, Decided, Play

H, C = HOSPITAL, CLINIC


@pytest.mark.vectors
def test_states_of_directives_and_governance(vector):
    play = Play(with_clinic=True)
    one, two, three = map(Decided, ("one", "two", "three"))
    blocks = [
        [play.build([one.grant(20_000)], [H.node, one.key], lane=3)],
        [play.build([two.grant(consent.DAY_MAX)], [C.node, two.key], lane=3, sponsor=C)],
        [play.build([one.revoke()], [H.node, one.key], lane=0)],
        [play.build([three.revoke_by_code()], [C.node], lane=0, sponsor=C)],
        [play.build([three.grant(0)], [C.node, three.key], lane=4, sponsor=C)],
        [play.build([admission(end_points=("https://a",))], H_SIGNS, lane=4)],
    ]
    blocks += [
        [play.build([set_parameter(bound.name, bound.least)], H_SIGNS, lane=5 + at)]
        for at, bound in enumerate(parameters.BOUNDS)
    ]
    executed = [play.run(transactions) for transactions in blocks]
    entries = {name: play.entry(it.commitment) for name, it in (("one", one), ("two", two), ("three", three))}
    assert entries["three"] is None
    vector(
        "states.json",
        {
            "genesis": play.ledger.genesis.to_bytes().hex(),
            "blocks": [
                {
                    "code": block.receipts[0].code,
                    "events": [[event.type, event.data.hex()] for event in block.receipts[0].events],
                    "app_hash": block.app_hash.hex(),
                }
                for block in executed
            ],
            "entries": {
                it.commitment.hex(): {
                    "state_key": consent.entry_key(it.commitment).hex(),
                    "value": consent.ENTRY.encode(entry).hex(),
                }
                for it, entry in ((one, entries["one"]), (two, entries["two"]))
                if entry is not None
            },
        },
    )
