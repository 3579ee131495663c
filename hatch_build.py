"""Build hook: a wheel or sdist always holds the FHIR definitions and the pages' script and style.

They are built from the npm packages that `tools/build_definitions.py` and `tools/build_ui.py` name, with the Node that a
wheel brings. An editable install (`make setup`) finds them built already and does nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = {
    "build_definitions.py": ("careledger", "fhir", "_definitions"),
    "build_ui.py": ("careledger", "web", "_ui"),
}
"""Tool -> the folder that it fills."""


class PartsHook(BuildHookInterface):  # type: ignore[misc]
    """Runs each build once, before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is missing, or leave it if the folder is there and the tool is not (an unpacked sdist)."""
        if version == "editable":
            return
        root = Path(self.root)
        for name, folder in BUILT.items():
            tool, built = root / "tools" / name, root.joinpath(*folder)
            if tool.exists() and (not built.is_dir() or not any(built.iterdir())):
                subprocess.run([sys.executable, str(tool)], cwd=root, check=True)
