"""`careledger demo`: a hospital with patients of the program's own making, served until Ctrl-C.

The first run makes the home, a passphrase of its own (kept beside the keys' folder, readable by its owner only) and
the patients; later runs keep everything. Nothing in it is real, and the passphrase beside it protects nothing.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.options import JsonFlag, NodeOptions, read_passphrase
from careledger.cli.output import note, print_result, progress_bar
from careledger.primitives.errors import Conflict, Misconfigured, Unavailable

PATIENTS = 50
TOKEN_EXPIRES_S = 24 * 3600
HOST = "127.0.0.1"
PORTS_TRIED_MAX = 50
DONE = "demo.imported"
PAGES = (
    ("patient", '/demo ("A patient"), then /app/record'),
    ("clinician", '/demo ("A clinician"), then /app/patients'),
    ("administrator", '/demo ("An administrator"), then /desk'),
    ("explorer", "/explorer (nobody signs in)"),
)
"""Whose pages stand where, and what one presses there."""

COMMANDS = """\
commands to try (copy and paste):
  curl -s '{fhir}/Patient?name=a&_count=5' -H "Authorization: Bearer {token}"
  curl -s '{fhir}/Observation?patient={patient}&category=vital-signs&_sort=-date&_count=5' -H "Authorization: Bearer {token}"
  {program} receipt Patient/{patient} -o receipt.json --home {home}
  {program} checkpoint -o checkpoint.txt --home {home} && {program} verify receipt.json --trust checkpoint.txt
  {program} access-log {patient} --home {home}
"""


def demo(
    *,
    home: Annotated[Path, Parameter(help="Where the demo hospital is kept.")] = Path("demo-home"),
    port: Annotated[int, Parameter(help="The port on localhost.")] = 8080,
    patients: Annotated[int, Parameter(help="How many patients the first run makes.")] = PATIENTS,
    json: JsonFlag = False,
) -> int:
    """Serve the demo hospital in the foreground; prints its address, a token and commands to try."""
    from careledger.node import client

    if client.is_served(home):
        raise Conflict(
            f"the demo hospital in {home} is running already",
            hint=f"stop it with Ctrl-C, or start another: make run PORT={port + 1} HOME_DIR={home}-2",
        )
    check_port_is_free(port)
    passphrase_file = home.parent / f"{home.name}.passphrase"
    options = NodeOptions(home=home, passphrase_file=passphrase_file, json=json)
    make_home(home, passphrase_file)
    if not (home / DONE).exists():
        import_patients(options, patients)
        calls.call(options, "account.personas", {"personas": make_personas()})
        (home / DONE).touch()
    from careledger.cli import serving
    from careledger.cli.demo_witness import DemoWitness

    witness = DemoWitness(options, home)
    try:
        witness.start()
        token = calls.call(options, "token.issue", make_token_request())
        witness.wait()
        print_welcome(options, port, token, witness.describe(compute_program()))
        overrides: dict[str, str | bool] = {
            "server.listen": f"{HOST}:{port}",
            "server.base_url": f"http://localhost:{port}",
            "explorer.open": True,
        }
        if witness.entry:
            overrides["witness.urls"] = witness.entry
        serving.serve(home, overrides, read_passphrase(passphrase_file))
    finally:
        witness.stop()
    return 0


def check_port_is_free(port: int) -> None:
    """Refuse now, with what to type, and not after a minute of importing."""
    if is_free(port):
        return
    other = next((free for free in range(port + 1, min(port + PORTS_TRIED_MAX, 65536)) if is_free(free)), 0)
    raise Unavailable(f"port {port} is in use by another program", hint=f"type: make run PORT={other}")


def is_free(port: int) -> bool:
    """Can this process listen there?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def make_home(home: Path, passphrase_file: Path) -> None:
    """Make passphrase and home on the first run."""
    if (home / "home.json").exists() and passphrase_file.exists():
        return
    if home.is_dir() and any(home.iterdir()):
        raise Misconfigured(f"{home} is no whole demo home", hint="empty it with: make reset")
    from careledger.node import making

    if not passphrase_file.exists():
        handle = os.open(passphrase_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    note(f"making the demo hospital in {home} (its passphrase is in {passphrase_file})")
    making.init(home, "Demo Hospital", read_passphrase(passphrase_file))


def import_patients(options: NodeOptions, patients: int) -> None:
    """Make the patients and import them, as files, the way anybody's files are imported."""
    from careledger.synthetic import write_bundles

    note(f"making {patients} patients")
    with tempfile.TemporaryDirectory(prefix="careledger-demo-") as folder:
        write_bundles(Path(folder), patients)
        with progress_bar("importing patients") as progress:
            result = calls.call(options, "import", {"paths": [folder]}, progress)
    if result["failures"]:
        failure = result["failures"][0]
        raise Unavailable(f"the demo patients were refused: {failure['source']}: {failure['message']}")
    note(f"imported {result['resources']} resources")


def make_token_request() -> dict[str, Any]:
    """A token for everything: the demo holds nothing that is real."""
    return {
        "client": "demo",
        "scope": "system/*.cruds",
        "patient": None,
        "practitioner": None,
        "org": None,
        "expires_s": TOKEN_EXPIRES_S,
    }


def make_personas() -> list[dict[str, Any]]:
    """A patient, a clinician, an administrator: who can be signed in with one click, here alone."""
    from careledger.synthetic import first_patient_id, first_practitioner_id

    return [
        {"kind": "patient", "name": "A patient", "fhir_user": f"Patient/{first_patient_id()}"},
        {"kind": "clinician", "name": "A clinician", "fhir_user": f"Practitioner/{first_practitioner_id()}"},
        {"kind": "administrator", "name": "An administrator", "duties": ["keys", "users", "audit"]},
    ]


def print_welcome(options: NodeOptions, port: int, token: dict[str, Any], witness: str) -> None:
    """The pages of each person, the address, the token on a line of its own, and five commands; ready to be copied."""
    from careledger.synthetic import first_patient_id

    fhir = f"http://localhost:{port}/fhir"
    if options.json:
        print_result({"address": fhir, "token": token["token"], "expires": token["expires"]}, as_json=True)
        return
    text = COMMANDS.format(
        fhir=fhir,
        token=token["token"],
        patient=first_patient_id(),
        home=options.home,
        program=compute_program(),
    )
    sys.stdout.write(
        f"{describe_pages(port)}address: {fhir}\ntoken: {token['token']}\nexpires: {token['expires']}\n{witness}{text}\n"
    )
    sys.stdout.flush()


def describe_pages(port: int) -> str:
    """A line for each person of the demo: what to open, and what to press there."""
    house = f"http://localhost:{port}"
    return "".join(f"{name + ':':<15} {house}{path}\n" for name, path in PAGES)


def compute_program() -> str:
    """How the user calls this program: as a word, or by its path in the repository."""
    local = Path(".venv/bin/careledger")
    return str(local) if local.exists() else "careledger"
