"""The ledger: transactions, blocks, authenticated state, proofs. It knows no contract by name."""
