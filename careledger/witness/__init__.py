"""A witness of other people's ledgers: it signs one history of each, and none that contradicts it.

A process, a key and a folder of its own; knows only the ledger's proofs and the primitives. docs/spec/witness.md.
"""
