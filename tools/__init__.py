"""Programs for those who work on CareLedger; nothing in the package imports them."""
