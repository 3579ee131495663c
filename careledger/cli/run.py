"""From arguments to an exit code: the only place that catches what a command raises."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from careledger.cli import errors
from careledger.cli.commands import COMMANDS, compute_help
from careledger.primitives.errors import CareLedgerError

GLOBAL_FLAGS = ("--json", "--quiet")
GLOBAL_VALUES = ("--home", "--passphrase-file")


def run(arguments: Sequence[str]) -> int:
    """Run one command; never raises, except what ends the interpreter."""
    arguments = move_globals_behind(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(compute_help())
        return errors.OK
    if arguments[0] in ("-V", "--version"):
        from careledger import __version__

        sys.stdout.write(f"careledger {__version__}\n")
        return errors.OK
    as_json = "--json" in arguments
    try:
        code = dispatch(arguments)
        sys.stdout.flush()
        return code
    except CareLedgerError as error:
        return errors.print_error(error, as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return errors.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.FAILURE
    except Exception as error:
        return print_defect(error, as_json=as_json)


def dispatch(arguments: list[str]) -> int:
    """Parse and call; a command returns nothing (0) or its exit code."""
    if arguments[0] not in {command.name for command in COMMANDS}:
        raise errors.UsageError(f"there is no command {arguments[0]!r}", hint=suggest(arguments[0]))
    from cyclopts import CycloptsError

    from careledger.cli.app import make_app

    try:
        result = make_app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        command = " ".join(word for word in arguments[:1])
        text = " ".join(str(error).split())
        raise errors.UsageError(text, hint=f"careledger {command} --help shows what it takes") from None
    return result if isinstance(result, int) else errors.OK


def move_globals_behind(arguments: Sequence[str]) -> list[str]:
    """`careledger --home X token` is `careledger token --home X`."""
    moved: list[str] = []
    rest = list(arguments)
    while rest:
        name = rest[0].split("=", 1)[0]
        if rest[0] in GLOBAL_FLAGS or (name in GLOBAL_VALUES and "=" in rest[0]):
            moved.append(rest.pop(0))
        elif name in GLOBAL_VALUES and len(rest) > 1:
            moved += [rest.pop(0), rest.pop(0)]
        else:
            break
    return rest + moved if rest else moved


def suggest(word: str) -> str:
    """The nearest command, or where to look."""
    import difflib

    near = difflib.get_close_matches(word, [command.name for command in COMMANDS], n=1)
    return f"did you mean: careledger {near[0]}" if near else "careledger --help lists the commands"


def print_defect(error: Exception, *, as_json: bool) -> int:
    """An error that nobody foresaw: name its kind and place, never its text, which may hold data."""
    if os.environ.get("CARELEDGER_TRACEBACK"):
        raise error
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place else "?"
    defect = CareLedgerError(
        f"unforeseen {type(error).__name__} at {where}: this is a defect of the program",
        hint="set CARELEDGER_TRACEBACK=1 and run it again for the whole trace",
        code="defect",
    )
    return errors.print_error(defect, as_json=as_json)
