"""Writes deploy/engine-NAME.toml: the engine's config.toml that a node writes under deploy/NAME.toml, to be read.

python tools/build_engine_samples.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from shutil import copyfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from careledger.engine.configuration import compute_config  # noqa: E402
from careledger.node import config as configuration  # noqa: E402
from careledger.node.config import FILE_NAME  # noqa: E402
from careledger.node.networkfile import parse_peer  # noqa: E402
from careledger.node.networking import make_settings  # noqa: E402

SAMPLES = {"validator": True, "sentry": False}
"""Of deploy/, and whether it signs."""


def load_sample(name: str) -> configuration.Config:
    """The configuration of deploy/NAME.toml, and of nothing else."""
    with tempfile.TemporaryDirectory() as home:
        copyfile(ROOT / "deploy" / f"{name}.toml", Path(home) / FILE_NAME)
        return configuration.load(Path(home), {})


def compute_sample(name: str) -> str:
    """What the engine of that node is set to."""
    config = load_sample(name)
    peers = tuple(map(parse_peer, config.network.peers.splitlines()))
    return compute_config(make_settings(name, config, peers, signs=SAMPLES[name]))


def main() -> int:
    """Write them, or with --check say whether they are current."""
    is_check = "--check" in sys.argv[1:]
    for name in SAMPLES:
        path, text = ROOT / "deploy" / f"engine-{name}.toml", compute_sample(name)
        if is_check and (not path.exists() or path.read_text("utf-8") != text):
            sys.stderr.write(f"{path.name} differs; run: make docs\n")
            return 1
        if not is_check:
            path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
