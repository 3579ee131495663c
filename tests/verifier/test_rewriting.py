"""One old checkpoint is enough: whatever a custodian with every key rewrites, both verifiers refuse it (sampled)."""

from __future__ import annotations

import pytest

from tests.verifier.rewriting import Rewritten
from tests.verifier.twins import export_verdict

TAMPERS = 40


@pytest.mark.parametrize("seed", range(3))
def test_what_was_rewritten_after_a_checkpoint_is_refused(seed: int) -> None:
    chart = Rewritten(seed)
    assert export_verdict(chart.honest(), chart.trust) == "anchored"
    for _ in range(TAMPERS):
        how, file = chart.tamper()
        assert export_verdict(file, chart.trust) == "refused", how
