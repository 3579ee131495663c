"""The engine's application interface (ABCI 2.0 as CometBFT v0.40.0 speaks it): its messages and a socket server."""
