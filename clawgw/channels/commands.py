"""Commands: messages that are for the Gateway and not for the agent.

`/new` and `/reset` begin the conversation anew, `/stop` ends what the agent is doing, `/status`
tells what is going on, `/whoami` the sender's id, for allowlists, `/approve` decides about
something an agent wants to do (see `channels.approvals`), `/help` lists these. Anything else that
begins with a slash is for the agent.
"""

from __future__ import annotations

from typing import NamedTuple

HELP = """/new: begin a new conversation
/stop: stop what I am doing
/status: what is going on
/whoami: your id here
/help: this list"""

_NAMES = {
    "new": "new", "reset": "new", "stop": "stop", "abort": "stop", "status": "status",
    "whoami": "whoami", "id": "whoami", "help": "help", "commands": "help", "approve": "approve",
}  # fmt: skip


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
