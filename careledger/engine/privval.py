"""The message classes of the remote signer, by their names in the table; `privval.pyi` says their fields."""

from __future__ import annotations

from careledger.engine.privval_table import PRIVVAL
from careledger.ledger.consensus.abci import schema as _schema  # noqa: F401  # its messages are referred to
from careledger.ledger.consensus.abci.wire import build_classes

globals().update(build_classes(PRIVVAL))
