"""Types, the one canonical encoding, hashing, signing, errors. Knows nothing of the project."""
