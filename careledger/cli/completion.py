"""`careledger completion`: the completion script of a shell."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from careledger.cli.options import JsonFlag
from careledger.cli.output import print_result


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(name="SHELL", help="bash, zsh or fish.")],
    /,
    *,
    json: JsonFlag = False,
) -> None:
    """Print the script; for bash: source <(careledger completion bash)."""
    from careledger.cli.app import make_app

    script = make_app().generate_completion(prog_name="careledger", shell=shell)
    if json:
        print_result({"shell": shell, "script": script}, as_json=True)
    else:
        sys.stdout.write(script)
