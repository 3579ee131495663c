"""Ways to order transactions; all of them execute `apply_block`."""
