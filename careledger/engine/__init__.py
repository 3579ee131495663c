"""The consensus engine (CometBFT, a child process): installing, configuring, running and asking it.

What the engine agrees on is executed in `careledger.ledger.consensus`; this room knows only how to have it running.
"""
