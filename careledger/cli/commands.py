"""Every command, in the order in which help shows them: name, where it is, what it does.

Modules are imported only when their command runs, so help and `--version` answer before anything heavy is loaded.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One row of the table: a noun or verb of the command line."""

    name: str
    target: str
    summary: str


COMMANDS: tuple[Command, ...] = (
    Command("init", "careledger.cli.node:init", "Make the home of a new node: keys, journal, organisation"),
    Command("serve", "careledger.cli.node:serve", "Serve FHIR R4 in the foreground until SIGINT or SIGTERM"),
    Command(
        "demo", "careledger.cli.demo:demo", "Serve a demo hospital with patients of the program's own making"
    ),
    Command("token", "careledger.cli.token:app", "Issue a bearer token, or revoke one"),
    Command("account", "careledger.cli.account:app", "Invite, list, disable or enable people who sign in"),
    Command("client", "careledger.cli.client:app", "Register, list or disable programs that ask for tokens"),
    Command("issuer", "careledger.cli.issuer:app", "List, rotate or withdraw the keys that sign ID tokens"),
    Command(
        "import", "careledger.cli.importing:import_", "Load files of FHIR resources into a home or a server"
    ),
    Command("receipt", "careledger.cli.proof:receipt", "Write the receipt of a version of a resource"),
    Command(
        "checkpoint", "careledger.cli.proof:checkpoint", "Write the newest signed checkpoint of the ledger"
    ),
    Command(
        "verify", "careledger.cli.verifying:verify", "Verify a receipt or an export against a checkpoint"
    ),
    Command(
        "witness", "careledger.cli.witness:app", "Sign checkpoints of other ledgers: one history of each"
    ),
    Command("chart", "careledger.cli.chart:app", "Export a patient's chart with the proof that it is whole"),
    Command(
        "access-log", "careledger.cli.access_log:app", "List or export who looked into a patient's chart"
    ),
    Command("patient", "careledger.cli.patient:app", "Enrol the key with which a patient decides"),
    Command("copy", "careledger.cli.copies:app", "Prepare or open sealed copies of a chart"),
    Command("consent", "careledger.cli.consent:app", "Grant, supersede, revoke, list and explain directives"),
    Command("erase", "careledger.cli.erase:erase", "Make one misfiled version unreadable for good"),
    Command("shred", "careledger.cli.erase:shred", "Make a patient's whole chart unreadable for good"),
    Command("fsck", "careledger.cli.node:fsck", "Check every body, log, tree and block against the ledger"),
    Command("backup", "careledger.cli.backup:backup", "Write the whole node to one file"),
    Command(
        "restore", "careledger.cli.backup:restore", "Make a home from a backup and verify everything in it"
    ),
    Command("status", "careledger.cli.node:status", "Say how far a node is: height, charts, resources"),
    Command(
        "upgrade", "careledger.cli.node:upgrade", "Let this version of program and Python execute the ledger"
    ),
    Command(
        "org",
        "careledger.cli.governance:org",
        "Admit organisations to the ledger, list them, or ask to be admitted",
    ),
    Command(
        "practitioner",
        "careledger.cli.practitioner:app",
        "Register, suspend, reinstate, license and list practitioners on the ledger",
    ),
    Command("parameters", "careledger.cli.governance:parameters", "Show or set the ledger's parameters"),
    Command(
        "governance", "careledger.cli.voting:app", "Propose, vote and list what a network decides together"
    ),
    Command(
        "join", "careledger.cli.joining:join", "Make the home of an organisation that comes to a network"
    ),
    Command("migrate", "careledger.cli.migrating:migrate", "Take a home's embedded ledger to a network"),
    Command("network", "careledger.cli.network:app", "Organisations that keep one ledger, on this machine"),
    Command("engine", "careledger.cli.engine:app", "Build the consensus engine, or say what is missing"),
    Command("doctor", "careledger.cli.node:doctor", "Say what is wrong with this machine, home or node"),
    Command("config", "careledger.cli.config:app", "Show the configuration and where each value comes from"),
    Command("bench", "careledger.cli.bench:bench", "Measure this machine: the table of figures"),
    Command("completion", "careledger.cli.completion:completion", "Print the completion script of a shell"),
)

USAGE = """\
Usage: careledger COMMAND [OPTIONS]

{commands}

Every command takes --json and --help; commands about a node take --home DIR (or CARELEDGER_HOME).
Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 denied, 5 conflict, 6 verification failed, 7 unreachable,
130 interrupted. --version prints the version.
"""


def compute_help() -> str:
    """The text of `careledger --help`, made from the table."""
    width = max(len(command.name) for command in COMMANDS)
    lines = (f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS)
    return USAGE.format(commands="\n".join(lines))
