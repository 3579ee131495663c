"""The browser's verifier accepts what verifier/verify.py accepts, and refuses what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import VECTORS
from tests.web_ui.browser import Browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser") / "proof")


def test_the_browser_says_what_the_vectors_say(browser: Browser) -> None:
    browser.run("--test", "tests/vectors.test.ts", VECTORS=str(VECTORS))
