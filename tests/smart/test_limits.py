"""Rate limits: who asks too much waits, and nobody else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careledger.smart.limits import Limit, Limiter, TooManyRequests
from tests.smart.forging import Clock

FEW = Limit(rate=2, burst=3)


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    for _ in range(3):
        limiter.use(FEW, "client", "a")
    with pytest.raises(TooManyRequests) as refused:
        limiter.use(FEW, "client", "a")
    assert refused.value.wait_s == 1
    clock.now_ms += 500
    limiter.use(FEW, "client", "a")
    with pytest.raises(TooManyRequests):
        limiter.use(FEW, "client", "a")


def test_one_does_not_lock_out_another() -> None:
    limiter = Limiter(Clock())
    for _ in range(100):
        limiter.count(FEW, "failure", "a client", "203.0.113.9")
    with pytest.raises(TooManyRequests):
        limiter.check(FEW, "failure", "a client", "203.0.113.9")
    limiter.check(FEW, "failure", "a client", "198.51.100.1")
    limiter.check(FEW, "failure", "another", "203.0.113.9")


def test_memory_is_bounded_and_the_idle_go_first() -> None:
    limiter = Limiter(Clock(), kept_max=10)
    for _ in range(3):
        limiter.count(FEW, "busy")
    for number in range(9):
        limiter.count(FEW, str(number))
    limiter.count(FEW, "busy")
    limiter.count(FEW, "one more")
    assert len(limiter._buckets) == 10
    with pytest.raises(TooManyRequests):
        limiter.check(FEW, "busy")


@given(st.lists(st.integers(0, 3000), max_size=60))
def test_never_more_than_burst_and_rate_allow(waits: list[int]) -> None:
    clock = Clock()
    limiter = Limiter(clock)
    allowed, start = 0, clock.now_ms
    for wait in waits:
        clock.now_ms += wait
        try:
            limiter.use(FEW, "x")
            allowed += 1
        except TooManyRequests:
            pass
    assert allowed <= FEW.burst + FEW.rate * (clock.now_ms - start) / 1000 + 1e-6
