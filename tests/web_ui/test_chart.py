"""The clinician's pages: their component tests, run as they stand."""

from __future__ import annotations

from tests.web_ui.running import run_components


def test_the_clinicians_pages() -> None:
    said = run_components("features/chart")
    assert "Tests  33 passed (33)" in said, said
