"""The demo hospital's patients: invented, deterministic, coherent over years. Never mixed with real data."""
