"""Where the state tree is kept: memory and LMDB behind one interface and one set of tests."""
