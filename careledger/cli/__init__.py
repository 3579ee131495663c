"""The command line: one file a noun; data on stdout, everything else on stderr."""


def main() -> None:
    """Run the command line."""
