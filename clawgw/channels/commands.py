"""Commands: messages that are for the Gateway and not for the agent.

`/new` and `/reset` begin the conversation anew, `/stop` ends what the agent is doing, `/status`
tells what is going on, `/whoami` the sender's id, for allowlists, `/approve` decides about
something an agent wants to do (see `channels.approvals`), `/help` lists these. Anything else that
begins with a slash is for the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

COMMANDS: Mapping[str, str] = {
    "new": "begin a new conversation",
    "stop": "stop what I am doing",
    "status": "what is going on",
    "whoami": "your id here",
    "help": "what I can be told",
}
"""The commands everybody is told of, in this order, each with what it does, as the bot says it.

`/approve` is not among them: whoever may decide is told of it with the question."""

HELP = "\n".join(f"/{name}: {does}" for name, does in COMMANDS.items())

_ALIASES = {"reset": "new", "abort": "stop", "id": "whoami", "commands": "help"}
_NAMES = {name: name for name in (*COMMANDS, "approve")} | _ALIASES


class Command(NamedTuple):
    """What is to be done, and the words after it."""

    name: str
    words: tuple[str, ...]


def command_in(text: str) -> Command | None:
    """The command a message is; None if it is for the agent."""
    if not text.lstrip().startswith("/"):
        return None
    first, *words = text.split()
    name = _NAMES.get(first[1:].partition("@")[0].lower())
    if name is None or (words and name != "approve"):
        return None
    return Command(name, tuple(words))
