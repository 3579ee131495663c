"""`python -m careledger` is the `careledger` command."""

from __future__ import annotations

from careledger.cli import main

if __name__ == "__main__":
    main()
