"""The bench: measures a node as a user has it. `make bench` prints the figures; no part of the program imports this."""
