"""docs/spec/ledger.md is what the tables say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_spec_is_up_to_date():
    command = [sys.executable, str(ROOT / "tools" / "build_spec.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "docs/spec/ledger.md differs: make docs"
