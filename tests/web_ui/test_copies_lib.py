"""The browser opens and wraps sealed copies as the node and the command line do: vectors/copies.json, and larger ones."""

from __future__ import annotations

from pathlib import Path

from tests.access.test_copies import CHUNK_BYTES, sealed
from tests.conftest import VECTORS
from tests.web_ui.running import run_tests


def test_the_browser_opens_what_was_sealed_and_nothing_else(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(sealed(b"".join(bytes([n]) * CHUNK_BYTES for n in range(3)), b"l" * 99))
    said = run_tests("copies.test.ts", COPIES=str(VECTORS / "copies.json"), LARGE=str(large))
    assert "# fail 0" in said and "# pass 8" in said, said
