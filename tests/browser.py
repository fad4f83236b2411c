"""A real browser for the pages that this project builds: the distribution's Chromium, without a head or a network."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from playwright.sync_api import Browser, Page, expect, sync_playwright

# axe-core's script, which looks at a page as somebody would who cannot see it; `make docs` installs it.
AXE = ROOT / ".venv" / "docs" / "node_modules" / "axe-core" / "axe.min.js"
SETTINGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What a page should ask for all the same finds no address; Airflow, on this machine, is found.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
OF_THIS_MACHINE = ("file:", "data:", "blob:", "about:")
# Milliseconds for whatever is waited for: how long it takes on a busy machine is no test's claim.
PATIENCE = 300_000
expect.set_options(timeout=PATIENCE)


def chromium() -> str:
    """The path of this machine's Chromium, installed where that can be done; skips where there is none to be had."""
    with Path(__file__).open() as lock:
        # Another test may be installing it on the next core: its program is there before the libraries that it needs.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return shutil.which("chromium") or installed()


def installed() -> str:
    """The path of a Chromium from apt; skips where that has none."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("there is no chromium here: apt-get install chromium")
    apt = ["apt-get", "-qq", "--yes", "--option=DPkg::Lock::Timeout=600"]
    for command in (["update"], ["install", "--no-install-recommends", "chromium"]):
        subprocess.run(
            [*apt, *command], env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, check=False
        )
    if not (found := shutil.which("chromium")):
        pytest.skip("there is no chromium here, and apt has none either: apt-get install chromium")
    return found


@dataclass
class Watched:
    """A page, what its console has complained of, and the addresses elsewhere that it has asked for, all of them."""

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        """Show a file of this machine, and wait until everything that it names has been loaded."""
        self.page.goto(path.resolve().as_uri(), wait_until="load")


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, for as long as the block lasts."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=SETTINGS, timeout=PATIENCE)
        yield started
        started.close()


@contextmanager
def watched(started: Browser, **settings: Any) -> Iterator[Watched]:
    """A page of its own (viewport, color_scheme and the like as Playwright has them) that is watched."""
    context = started.new_context(**settings)
    context.set_default_timeout(PATIENCE)
    seen = Watched(context.new_page())

    def complain(text: str) -> None:
        seen.errors.append(f"{seen.page.url}: {text}")

    seen.page.on("console", lambda said: complain(said.text) if said.type in {"error", "warning"} else None)
    seen.page.on("pageerror", lambda error: complain(str(error)))
    seen.page.on("requestfailed", lambda asked: complain(f"{asked.url} was not loaded: {asked.failure}"))
    context.on(
        "request", lambda asked: None if asked.url.startswith(OF_THIS_MACHINE) else seen.outside.append(asked.url)
    )
    yield seen
    context.close()
