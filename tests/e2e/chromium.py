"""Debian's Chromium, where there is one: how every test that needs a browser gets it."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from careledger.web.smart.rendering import ASSETS, read_asset


def find_chromium() -> str:
    """Where the browser is; skips, and says so aloud, if it or the built pages are missing."""
    found = (
        os.environ.get("CARELEDGER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    missing = "" if found else "there is no chromium"
    if not all(read_asset(name) for name in ASSETS):
        missing = "the pages are not built (python tools/build_ui.py)"
    if missing or found is None:
        warnings.warn(f"NOT TRIED IN A BROWSER: {missing}", stacklevel=2)
        pytest.skip(missing)
    return found


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """A running browser; skips as `find_chromium` does. Meanwhile this thread has a loop: no `asyncio.run` in it."""
    path = find_chromium()
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()
