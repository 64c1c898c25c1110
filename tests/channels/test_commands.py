"""Which messages are for the Gateway and not for the agent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.commands import COMMANDS, HELP, Command, command_in


class Commands(SynchronousTestCase):
    """Reading a message."""

    def test_commands(self) -> None:
        for text, name in (
            ("/new", "new"), ("/RESET", "new"), (" /stop ", "stop"), ("/status@mybot", "status"),
            ("/whoami", "whoami"), ("/help", "help"),
        ):  # fmt: skip
            self.assertEqual(command_in(text), Command(name, ()))

    def test_help_tells_of_each(self) -> None:
        told = [line.partition(":")[0] for line in HELP.splitlines()]
        self.assertEqual(told, [f"/{name}" for name in COMMANDS])
        for name in COMMANDS:
            self.assertEqual(command_in(f"/{name}"), Command(name, ()))

    def test_words(self) -> None:
        self.assertEqual(command_in("/approve ab12 once"), Command("approve", ("ab12", "once")))

    def test_everything_else_is_for_the_agent(self) -> None:
        for text in ("", "new", "/", "/unknown", "/new plan for dinner", "see /stop", "// new"):
            self.assertIsNone(command_in(text), text)
