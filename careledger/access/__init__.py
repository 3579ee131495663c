"""Access: who is asking, may they, and the entry that says so."""
