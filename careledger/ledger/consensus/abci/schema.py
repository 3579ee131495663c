"""The message classes of ABCI, by their names in the table; `schema.pyi` says their fields to the type checker.

Unknown fields are ignored: the engine's version is pinned, and the engine ignores ours.
"""

from __future__ import annotations

from careledger.ledger.consensus.abci.table import ABCI
from careledger.ledger.consensus.abci.wire import build_classes

globals().update(build_classes(ABCI))
