"""Sealed bodies, chart logs, keys, the journal and its index."""
