"""`node.json`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial import unittest

from clawgw.config import ConfigError
from clawgw.nodehost.settings import Commands, Location, NodeSettings, load_settings


class SettingsTests(unittest.SynchronousTestCase):
    """Reading the file."""

    def read(self, text: str) -> NodeSettings:
        path = Path(self.mktemp())
        path.write_text(text)
        return load_settings(path)

    def test_without_a_file(self) -> None:
        self.assertEqual(load_settings(Path(self.mktemp())), NodeSettings())

    def test_all_of_it(self) -> None:
        settings = self.read(
            """{
              "displayName": "Build", // with comments
              "location": {"latitude": 48.2, "longitude": 16.37, "accuracy": 20},
              "commands": {"deny": ["canvas.*"]},
              "trustGatewayApprovals": false,
            }"""
        )
        self.assertEqual(settings.display_name, "Build")
        self.assertEqual(settings.location, Location(48.2, 16.37, 20))
        self.assertEqual(settings.commands, Commands(deny=("canvas.*",)))
        self.assertIs(settings.trust_gateway_approvals, False)

    def test_mistakes_are_named(self) -> None:
        for text, word in (
            ('{"displayname": "x"}', "displayname"),
            ('{"location": {"latitude": 91, "longitude": 0}}', "latitude"),
            ('{"location": {"latitude": 1}}', "longitude"),
            ('{"commands": {"allow": "system.run"}}', "/commands/allow"),
            ("{", "not JSON"),
        ):
            with self.assertRaises(ConfigError) as caught:
                self.read(text)
            self.assertIn(word, str(caught.exception))

    def test_which_commands_are_permitted(self) -> None:
        for commands, permitted, refused in (
            (Commands(), ("system.run",), ()),
            (Commands(deny=("system.run",)), ("system.which",), ("system.run",)),
            (Commands(deny=("canvas.*",)), ("system.run",), ("canvas.eval", "canvas.a2ui.push")),
            (Commands(allow=("system.*",)), ("system.run",), ("canvas.eval", "systemx.run")),
            (Commands(allow=("system.run",), deny=("system.run",)), (), ("system.run",)),
            (Commands(allow=()), (), ("system.run",)),
        ):
            for command in permitted:
                self.assertTrue(commands.permit(command), (commands, command))
            for command in refused:
                self.assertFalse(commands.permit(command), (commands, command))
