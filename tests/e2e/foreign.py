"""A SMART client that is not ours, for a browser: npm's `fhirclient`, fetched once into .cache, never kept in the repository."""

from __future__ import annotations

import base64
import hashlib
import http.server
import shutil
import sys
import tarfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.node import ROOT

NAME, VERSION = "fhirclient", "2.6.3"
INTEGRITY = "CirZixcwWelbkIXxpxlNQx5+ZdJirl6F1s4y4yvA1X7hHAkr9n99aVHaMi0wX+97nATjKQ65X6NB5as/wZoJzg=="
"""SHA-512 of the package, as the registry tells it."""
SCRIPT = "fhir-client.min.js"
CACHE = ROOT / ".cache" / "foreign"

LAUNCH = """<!doctype html><title>launch</title><script src="fhir-client.min.js"></script><script src="client.js"></script><script>
const asked = new URLSearchParams(location.search);
FHIR.oauth2.authorize({
  clientId: CLIENT,
  scope: asked.get("scope") || "openid fhirUser launch patient/*.rs",
  redirectUri: "index.html",
  iss: asked.get("iss"),
  pkceMode: "required",
}).catch(error => { document.title = "failed: " + error.message; });
</script>"""
INDEX = """<!doctype html><title>waiting</title><pre id="told"></pre><script src="fhir-client.min.js"></script><script>
FHIR.oauth2.ready().then(async client => {
  const [patient, found] = await Promise.all([client.patient.read(), client.request("Observation?_count=3")]);
  const told = { patient: patient.id, found: found.entry.length, user: client.user.fhirUser, scope: client.state.tokenResponse.scope };
  try { await client.request("Patient/" + "0".repeat(36)); told.other = 200; } catch (error) { told.other = error.statusCode || error.status; }
  if (client.state.tokenResponse.refresh_token) { await client.refresh(); told.again = (await client.patient.read()).id; }
  document.getElementById("told").textContent = JSON.stringify(told);
  document.title = "done";
}).catch(error => { document.title = "failed: " + error.message; });
</script>"""


def find_client() -> Path:
    """The script's file; skips, and says so aloud, where it cannot be had."""
    kept = CACHE / VERSION / SCRIPT
    if not kept.exists():
        try:
            _fetch(kept)
        except Exception as error:
            warnings.warn(f"NOT TRIED WITH A FOREIGN CLIENT: {NAME} {VERSION}: {error}", stacklevel=2)
            pytest.skip(f"{NAME} cannot be had")
    return kept


def _fetch(kept: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    from build_definitions import find_node, run

    node, npm = find_node()
    CACHE.mkdir(parents=True, exist_ok=True)
    run(
        [str(node), str(npm), "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--silent"],
        cwd=CACHE,
        hint="the npm registry was not reached",
    )
    package = CACHE / f"{NAME}-{VERSION}.tgz"
    found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        raise RuntimeError(f"the package has another hash: {found}")
    with tarfile.open(package) as archive:
        script = archive.extractfile(f"package/build/{SCRIPT}")
        assert script is not None
        kept.parent.mkdir(exist_ok=True)
        part = kept.with_suffix(".part")
        part.write_bytes(script.read())
        part.replace(kept)


@contextmanager
def serve_app(folder: Path) -> Iterator[str]:
    """The app on an origin of its own: its address. `launch.html` begins, `index.html` is where the answer goes."""
    shutil.copyfile(find_client(), folder / SCRIPT)
    (folder / "client.js").write_text("")
    (folder / "launch.html").write_text(LAUNCH)
    (folder / "index.html").write_text(INDEX)
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is asked for is no news."""
