"""The web application's own interface, `/api`: plain JSON about accounts, charts, proofs and the ledger (docs/spec/api.md)."""
