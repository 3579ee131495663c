"""A shredded patient: nobody signs in as her, no program reaches her chart, and nobody else notices."""

from __future__ import annotations

import pytest

from careledger.primitives.errors import Unauthenticated
from careledger.smart.accounts import get_account, list_accounts
from careledger.smart.forgetting import forget_patient
from careledger.smart.grants import list_grants
from careledger.smart.passkeys import list_passkeys
from careledger.smart.sessions import SESSIONS
from tests.smart.flow_support import House
from tests.smart.forging import run


def test_a_shredded_patient_is_forgotten() -> None:
    house = House()
    hers = house.redeem(house.allow(house.ana)["code"])
    of_her_doctor = house.redeem(house.allow(house.doctor, patient="ana")["code"])
    of_another = house.redeem(house.allow(house.ben)["code"])
    before = len(list_accounts(house.registry))
    assert run(forget_patient(house.registry, house.server.revoke, "ana")) == 1
    assert get_account(house.registry, house.ana.account.id) is None
    assert list_passkeys(house.registry, house.ana.account.id) == []
    assert len(list_accounts(house.registry)) == before - 1
    assert house.ana.account.id not in {one.value.account for one in SESSIONS.list(house.registry)}
    for gone in (hers, of_her_doctor):
        with pytest.raises(Unauthenticated):
            house.actor(gone)
    assert house.actor(of_another).patient == "ben"
    assert [one.account for one in list_grants(house.registry)] == [house.ben.account.id]
    assert run(forget_patient(house.registry, house.server.revoke, "ana")) == 0
