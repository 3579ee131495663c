"""`careledger import`: files of resources into a home, or into any FHIR server by its address."""

from __future__ import annotations

import http.client
import json as json_
import os
import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from careledger.cli import calls
from careledger.cli.errors import FAILURE, OK, UsageError
from careledger.cli.options import NodeOptions
from careledger.cli.output import Progress, note, print_result, progress_bar
from careledger.primitives.errors import Misconfigured, NotPermitted, Unauthenticated, Unavailable

ERROR_SYSTEM = "urn:careledger:error"
"""Of the codes in this program's own outcomes, which hold nothing of a patient."""

TIMEOUT_S = 300
FAILURES_SHOWN_MAX = 20


def import_(
    *paths: Annotated[Path, Parameter(name="PATH", help="Files or folders: JSON, NDJSON, Bundles, .gz.")],
    url: Annotated[str | None, Parameter(help="FHIR base of a server, instead of --home.")] = None,
    token_file: Annotated[
        Path | None, Parameter(env_var="CARELEDGER_TOKEN_FILE", help="File with the token for --url.")
    ] = None,
    options: NodeOptions = NodeOptions(),  # noqa: B008 (frozen)
) -> int:
    """Load resources; transaction Bundles are all or nothing, other files entry by entry."""
    if not paths:
        raise UsageError("nothing to import was named", hint="careledger import FILE-OR-FOLDER… --home DIR")
    with progress_bar("importing", quiet=options.json) as progress:
        if url is None:
            result = calls.call(
                options, "import", {"paths": [str(path.absolute()) for path in paths]}, progress
            )
        else:
            result = import_to_url(paths, url, read_token(token_file), progress)
    failures = result["failures"]
    text = (
        f"imported {result['resources']} resources in {result['bundles']} Bundles, {len(failures)} failed\n"
    )
    print_result(result, as_json=options.json, text=text)
    if not options.json:
        for failure in failures[:FAILURES_SHOWN_MAX]:
            note(f"failed: {failure['source']}: {failure['message']}")
    return FAILURE if failures else OK


def read_token(file: Path | None) -> str | None:
    """The token for a server: from a file, or CARELEDGER_TOKEN; never an argument, which others could see."""
    if file is None:
        return os.environ.get("CARELEDGER_TOKEN")
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(
            "cannot read the token file", hint="--token-file names a file of one line"
        ) from None


def import_to_url(paths: tuple[Path, ...], url: str, token: str | None, progress: Progress) -> dict[str, Any]:
    """Send every Bundle to a server, one at a time, over one connection."""
    from careledger.node.sources import list_files, read_sources

    base = urlsplit(url)
    if base.scheme not in ("http", "https") or not base.hostname:
        raise UsageError(f"{url!r} is no address", hint="it looks like http://localhost:8080/fhir")
    resources = bundles = 0
    failures: list[dict[str, str]] = []
    files = list_files(paths)
    connection = connect(base.scheme, base.hostname, base.port)
    for count, file in enumerate(files):
        progress({"what": "importing", "done": count, "total": len(files)})
        for source in read_sources(file):
            problems = send_bundle(connection, base.path.rstrip("/") or "/", source.bundle, token)
            bundles += 1
            resources += source.resources - min(len(problems), source.resources)
            failures += [{"source": source.name, "message": problem} for problem in problems]
    connection.close()
    return {"resources": resources, "bundles": bundles, "failures": failures}


def connect(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    """A connection that is opened at its first use."""
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def send_bundle(
    connection: http.client.HTTPConnection, path: str, bundle: bytes, token: str | None
) -> list[str]:
    """Post one Bundle; returns a line for each entry (or the whole) that was refused."""
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", path, bundle, headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        where = f"{connection.host}:{connection.port}"
        raise Unavailable(
            f"{where} does not answer ({type(error).__name__})", hint="is the server running?"
        ) from None
    if response.status == 401:
        raise Unauthenticated(
            "the server wants a token", hint="careledger token prints one; use --token-file"
        )
    if response.status == 403:
        raise NotPermitted("the token does not allow this", hint="issue one with --scope 'system/*.cruds'")
    if response.status >= 400:
        return [f"status {response.status}{_because(content)}"]
    return compute_refused_entries(content)


def compute_refused_entries(content: bytes) -> list[str]:
    """The entries of a response Bundle that were not carried out, by their number and status."""
    try:
        entries = json_.loads(content).get("entry", [])
    except (ValueError, AttributeError):
        return ["the answer is no Bundle"]
    lines = []
    for number, entry in enumerate(entries):
        status = str(entry.get("response", {}).get("status", ""))
        if status[:1] in ("4", "5"):
            outcome = json_.dumps(entry["response"].get("outcome")).encode()
            lines.append(f"entry {number}: status {status}{_because(outcome)}")
    return lines


def _because(outcome: bytes) -> str:
    """What a node of this program says of a refusal. What others say is left out: it may hold patient data."""
    try:
        issues = json_.loads(outcome)["issue"]
        said = [
            str(issue["diagnostics"])
            for issue in issues
            if issue["details"]["coding"][0]["system"] == ERROR_SYSTEM
        ]
    except (ValueError, TypeError, LookupError):
        return ""
    return ": " + "; ".join(said[:3]) if said else ""
