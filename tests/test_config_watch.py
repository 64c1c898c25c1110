"""A configuration that changes while the Gateway runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase

from clawgw.config import Config, load_config
from clawgw.config_watch import ConfigWatch


class WatchTests(TestCase):
    """What is told, and when."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.write('{"gateway": {"nodes": {"denyCommands": ["camera.snap"]}}}')
        self.told: list[Config] = []
        self.watch = ConfigWatch(
            self.path, load_config(self.path), self.in_thread, self.told.append
        )

    def in_thread(self, function: Any, *args: Any) -> Deferred[Any]:
        """At once."""
        return maybeDeferred(function, *args)

    def write(self, text: str) -> None:
        """Change the file; its time moves also where the clock is coarse."""
        before = self.path.stat().st_mtime_ns if self.path.exists() else 0
        self.path.write_text(text)
        os.utime(self.path, ns=(before + 10**9, before + 10**9))

    async def test_nothing_new(self) -> None:
        await self.watch.look()
        self.write('{"gateway": {"nodes": {"denyCommands": ["camera.snap"]}}}  // the same')
        await self.watch.look()
        self.assertEqual(self.told, [])

    async def test_a_change_is_told_once(self) -> None:
        self.write('{"gateway": {"nodes": {"denyCommands": ["screen.record"]}}}')
        await self.watch.look()
        await self.watch.look()
        (config,) = self.told
        self.assertEqual(config.gateway.nodes.deny_commands, ("screen.record",))

    async def test_a_mistake_changes_nothing(self) -> None:
        self.write('{"gateway": {"nodes": {"denyCommand": []}}}')
        await self.watch.look()
        self.assertEqual(self.told, [])
        self.write('{"gateway": {"nodes": {"denyCommands": []}}}')
        await self.watch.look()
        self.assertEqual(len(self.told), 1)

    async def test_a_file_that_goes_means_the_defaults(self) -> None:
        self.path.unlink()
        await self.watch.look()
        self.assertEqual(self.told, [Config()])
