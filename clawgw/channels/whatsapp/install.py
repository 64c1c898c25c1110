"""Where the sidecar runs from: installed with npm, once per version, in the account's directory.

The package's own directory may be read-only and is nobody's to write to. The sources are copied to
`sidecar/<fingerprint>` and what they import is installed there by the lock file, without running
any package's scripts. The fingerprint is that of the sources and the lock file, so a new version of
clawgw installs a new sidecar and removes the old one. A directory gets its name only when it is
complete and on the disk; an installation that a kill or a power failure has ended begins anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.channels.adapter import Fatal, Fault
from clawgw.channels.whatsapp.run import run_program
from clawgw.channels.whatsapp.settings import WHAT_TO_INSTALL

SOURCES = Path(__file__).with_name("sidecar")
OLDEST_NODE = 20
NODE_SECONDS = 20.0
NPM_SECONDS = 900.0

_NPM = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
_VERSION = re.compile(r"v(\d+)\.")


class Installation:
    """The sidecar in a directory.

    Args:
        reactor: starts npm.
        directory: it is installed below this one.
        environ: the environment npm and node get.
        in_thread: runs a blocking function in the thread pool.
    """

    def __init__(
        self,
        reactor: Any,
        directory: Path,
        environ: Mapping[str, str],
        in_thread: Callable[..., Deferred[Any]],
        log: Logger,
    ) -> None:
        self._reactor = reactor
        self._directory = directory / "sidecar"
        self._environ = environ
        self._in_thread = in_thread
        self._log = log

    async def find(self) -> list[str] | None:
        """The command that runs it, None if it has to be installed first.

        Raises:
            Fatal: Node.js is missing or too old.
        """
        node = await self._node()
        place = await self._in_thread(self._place)
        if not await self._in_thread((place / "main.mjs").is_file):
            return None
        return [node, str(place / "main.mjs")]

    async def install(self) -> list[str]:
        """Install it; returns the command that runs it.

        Raises:
            Fatal: npm is missing.
            Fault: npm failed, and with what words.
        """
        node = await self._node()
        npm = shutil.which("npm", path=self._environ.get("PATH"))
        if npm is None:
            raise Fatal(WHAT_TO_INSTALL)
        self._log.info("installing the WhatsApp sidecar with npm in {place}", place=self._directory)
        place: Path = await self._in_thread(self._place)
        fresh: Path = await self._in_thread(self._copy)
        done = await run_program(
            self._reactor, [npm, *_NPM], env=self._environ, cwd=fresh, seconds=NPM_SECONDS
        )
        if not done.well:
            await self._in_thread(shutil.rmtree, fresh, ignore_errors=True)
            raise Fault(f"npm could not install the WhatsApp sidecar: {done.words}", 60.0)
        await self._in_thread(_move, fresh, place)
        self._log.info("installed the WhatsApp sidecar")
        return [node, str(place / "main.mjs")]

    async def _node(self) -> str:
        node = shutil.which("node", path=self._environ.get("PATH"))
        if node is None:
            raise Fatal(WHAT_TO_INSTALL)
        answer = await run_program(
            self._reactor, [node, "--version"], env=self._environ, seconds=NODE_SECONDS
        )
        found = _VERSION.search(answer.output)
        if not answer.well or found is None:
            raise Fault(f"{node} does not run: {answer.words}")
        if int(found[1]) < OLDEST_NODE:
            raise Fatal(f"{WHAT_TO_INSTALL}; {node} is {answer.output.strip()}")
        return node

    def _place(self) -> Path:
        digest = hashlib.sha256()
        for source in _sources():
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
        return self._directory / digest.hexdigest()[:16]

    def _copy(self) -> Path:
        fresh = self._directory / f".{os.getpid()}.tmp"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        for source in _sources():
            shutil.copyfile(source, fresh / source.name)
        return fresh


def _sources() -> list[Path]:
    return sorted(
        path for path in SOURCES.iterdir() if path.suffix in (".mjs", ".json") and path.is_file()
    )


def _move(fresh: Path, place: Path) -> None:
    """Give a complete installation its name; others are of no use any more."""
    os.sync()  # npm does not; one call, because there are thousands of files
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)
    for other in place.parent.iterdir():
        if other != place:
            shutil.rmtree(other, ignore_errors=True)
