"""ID tokens: signed with a published key, over rotations and several processes; a foreign reader checks them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from types import SimpleNamespace

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from careledger.primitives.errors import Invalid, Unavailable
from careledger.smart.keys import (
    HOUR_MS,
    KEYS_MAX,
    MAX_AGE_S,
    PUBLISHED_BEFORE_MS,
    RINGS,
    Upkeep,
    describe_keys,
    ensure_keys,
    list_keys,
    rotate_keys,
    sign_id_token,
    withdraw_key,
)
from careledger.vault.registry import StoredRegistry
from tests.smart.forging import ISSUER, NOW, NOW_MS, Clock, rsa_key, run
from tests.smart.registry import MemoryRegistry

ALGORITHMS = ("RS256", "ES256", "ES384")
CLAIMS = {"iss": ISSUER, "sub": "ada", "aud": "app", "iat": NOW, "exp": NOW + 300, "nonce": "n"}
DAY_MS = 24 * HOUR_MS


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """RSA keys out of a drawer: to make each anew takes most of the time of these tests."""
    drawer = itertools.cycle(f"drawer {number}" for number in range(10))
    monkeypatch.setattr(
        "careledger.smart.keys.rsa",
        SimpleNamespace(generate_private_key=lambda exponent, bits: rsa_key(next(drawer), bits, exponent)),
    )


@pytest.fixture
def registry():
    made = MemoryRegistry(Clock())
    run(ensure_keys(made, NOW_MS))
    return made


def published(registry, now_ms=NOW_MS):
    return json.loads(describe_keys(registry, now_ms))["keys"]


def header(token):
    first = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))


def is_believed(token, keys, algorithm):
    try:
        decoded = jwt.decode(token, KeySet.import_key_set({"keys": keys}), algorithms=[algorithm])
    except (JoseError, ValueError):
        return False
    return decoded.claims == CLAIMS


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_foreign_reader_believes_an_id_token(registry, algorithm):
    token = sign_id_token(registry, CLAIMS, algorithm, NOW_MS)
    assert header(token).keys() == {"alg", "kid", "typ"}
    assert header(token)["alg"] == algorithm
    assert is_believed(token, published(registry), algorithm)
    others = MemoryRegistry(Clock())
    run(ensure_keys(others, NOW_MS))
    assert not is_believed(token, published(others), algorithm)
    first, second, third = token.split(".")
    assert not is_believed(f"{first}.{second}.{third[:-4]}AAAA", published(registry), algorithm)


def test_the_key_set_holds_public_halves_only(registry):
    keys = published(registry)
    assert [key["alg"] for key in keys] == list(ALGORITHMS)
    assert len({key["kid"] for key in keys}) == 3
    for key in keys:
        numbers = {"n", "e"} if key["kty"] == "RSA" else {"crv", "x", "y"}
        assert set(key) == {"kty", "kid", "alg", "use"} | numbers
        assert key["use"] == "sig"


def test_a_successor_is_published_before_it_signs_and_its_predecessor_after(registry):
    before = sign_id_token(registry, CLAIMS, "ES256", NOW_MS)
    run(rotate_keys(registry, NOW_MS))
    assert len(published(registry)) == 6
    assert header(sign_id_token(registry, CLAIMS, "ES256", NOW_MS + PUBLISHED_BEFORE_MS - 1)) == header(
        before
    )
    turn = NOW_MS + PUBLISHED_BEFORE_MS
    after = sign_id_token(registry, CLAIMS, "ES256", turn)
    assert header(after)["kid"] != header(before)["kid"]
    assert header(after)["kid"] in {key["kid"] for key in published(registry, NOW_MS)}
    assert is_believed(before, published(registry, turn + DAY_MS - 1), "ES256")
    assert not is_believed(before, published(registry, turn + DAY_MS), "ES256")
    assert is_believed(after, published(registry, turn + DAY_MS), "ES256")


def test_whoever_keeps_the_set_for_as_long_as_it_may_knows_every_key():
    assert MAX_AGE_S * 1000 <= PUBLISHED_BEFORE_MS


def test_keys_are_rotated_after_90_days_and_not_before(registry):
    run(ensure_keys(registry, NOW_MS + 90 * DAY_MS - 1))
    assert len(published(registry)) == 3
    run(ensure_keys(registry, NOW_MS + 90 * DAY_MS))
    assert len(published(registry)) == 6
    run(ensure_keys(registry, NOW_MS + 90 * DAY_MS + 1))
    assert len(published(registry)) == 6
    later = NOW_MS + 180 * DAY_MS + 3 * HOUR_MS
    run(ensure_keys(registry, later))
    assert len(published(registry, later)) == 6  # those of the first 90 days are no longer there


def test_a_running_node_looks_once_a_day_and_after_a_failure_once_an_hour(registry, monkeypatch):
    looked, failing = [], []

    async def look(_, now_ms):
        looked.append(now_ms - NOW_MS)
        if failing:
            raise Unavailable("no room on the disk")

    monkeypatch.setattr("careledger.smart.keys.ensure_keys", look)
    upkeep = Upkeep(registry)
    for after in (0, 1, DAY_MS - 1, DAY_MS, DAY_MS + 1):
        run(upkeep.keep(NOW_MS + after))
    assert looked == [0, DAY_MS]
    failing.append(True)
    with pytest.raises(Unavailable):
        run(upkeep.keep(NOW_MS + 2 * DAY_MS))
    failing.clear()
    for after in (1, HOUR_MS - 1, HOUR_MS, HOUR_MS + 1):
        run(upkeep.keep(NOW_MS + 2 * DAY_MS + after))
    assert looked == [0, DAY_MS, 2 * DAY_MS, 2 * DAY_MS + HOUR_MS]


def test_an_operator_sees_which_key_signs_and_how_long_each_is_published(registry):
    run(rotate_keys(registry, NOW_MS))
    turn = NOW_MS + PUBLISHED_BEFORE_MS
    for now_ms, signs in ((NOW_MS, [True, False]), (turn, [False, True])):
        listed = list_keys(registry, now_ms)
        assert [one.signs for one in listed] == 3 * signs
        assert {one.kid for one in listed} == {key["kid"] for key in published(registry, now_ms)}
        token = sign_id_token(registry, CLAIMS, "ES384", now_ms)
        assert header(token)["kid"] in {one.kid for one in listed if one.signs}
    assert [(one.starts_ms - NOW_MS, one.ends_ms and one.ends_ms - turn) for one in listed[:2]] == [
        (0, DAY_MS), (turn - NOW_MS, 0),
    ]  # fmt: skip
    assert [one.signs for one in list_keys(registry, turn + DAY_MS)] == [True] * 3
    assert "private" not in repr(listed)


def test_a_key_that_somebody_else_has_is_gone_at_once(registry):
    token = sign_id_token(registry, CLAIMS, "ES256", NOW_MS)
    run(withdraw_key(registry, header(token)["kid"], NOW_MS))
    assert not is_believed(token, published(registry), "ES256")
    again = sign_id_token(registry, CLAIMS, "ES256", NOW_MS)
    assert is_believed(again, published(registry), "ES256")
    run(rotate_keys(registry, NOW_MS))
    waiting = [key["kid"] for key in published(registry) if key["alg"] == "ES256"][-1]
    run(withdraw_key(registry, waiting, NOW_MS))
    assert header(sign_id_token(registry, CLAIMS, "ES256", NOW_MS)) == header(again)
    with pytest.raises(Invalid):
        run(withdraw_key(registry, waiting, NOW_MS))


def test_processes_that_begin_together_agree_on_the_keys(tmp_path):
    async def begin():
        stored = StoredRegistry(tmp_path / "registry", bytes(32), Clock())
        await asyncio.gather(*(ensure_keys(stored, NOW_MS) for _ in range(4)))
        keys = published(stored)
        token = sign_id_token(stored, CLAIMS, "RS256", NOW_MS)
        stored.close()
        again = StoredRegistry(tmp_path / "registry", bytes(32), Clock())
        assert published(again) == keys
        assert is_believed(token, published(again), "RS256")
        again.close()
        return keys

    assert len(asyncio.run(begin())) == 3
    data = (tmp_path / "registry" / "data.mdb").read_bytes()
    assert b"ES256" not in data


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": NOW + 3601},
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"iat": None},
    ],
    ids=str,
)
def test_an_id_token_that_says_too_little_or_lasts_too_long_is_not_signed(registry, change):
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    with pytest.raises(Invalid):
        sign_id_token(registry, claims, "ES256", NOW_MS)


def test_without_keys_nothing_is_signed_and_there_are_never_too_many():
    registry = MemoryRegistry(Clock())
    with pytest.raises(Invalid):
        sign_id_token(registry, CLAIMS, "ES256", NOW_MS)
    assert published(registry) == []
    with pytest.raises(Invalid, match="published already"):
        for _ in range(KEYS_MAX + 1):
            run(rotate_keys(registry, NOW_MS))
    run(rotate_keys(registry, NOW_MS + 2 * DAY_MS))


def test_a_private_key_is_not_shown(registry):
    assert "private" not in repr(RINGS.get(registry, b"ES256"))
