"""The sidecar's own unit tests, `units.test.mjs`, with Node's test runner."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from clawgw.channels.whatsapp.install import SOURCES
from clawgw.channels.whatsapp.run import run_program
from tests.channels.whatsapp.real import install_sidecar
from tests.channels.whatsapp_server.node_program import node

UNITS = Path(__file__).with_name("units.test.mjs")
SECONDS = 300.0


class UnitTests(TestCase):
    """All of them."""

    timeout = SECONDS + 10

    async def test_all(self) -> None:
        install_sidecar()
        environment = {**os.environ, "SIDECAR_SOURCES": str(SOURCES)}
        command = [node(), "--test", str(UNITS)]
        done = await run_program(reactor, command, env=environment, seconds=SECONDS)
        self.assertTrue(done.well, f"{done.why}\n{done.output}")
        self.assertIn("# fail 0", done.output.replace("ℹ", "#"))
