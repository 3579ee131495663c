"""The cyclopts application, made from the table of commands."""

from __future__ import annotations

import sys

from cyclopts import App

from careledger import __version__
from careledger.cli.commands import COMMANDS


def make_app() -> App:
    """A new application; commands are resolved when they run.

    Help has no boxes: it is for pipes and screen readers too.
    """
    app = App(
        name="careledger", version=__version__, help_formatter="plain", suppress_keyboard_interrupt=False
    )
    for command in COMMANDS:
        app.command(command.target, name=command.name)
    return app


def print_help_to(app: App) -> None:
    """Show the help of an application whose word was given alone."""
    app.help_print([], console=None)
    sys.stdout.flush()
