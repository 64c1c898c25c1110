"""``node.json`` in the node's directory: what the owner of this machine says about the node.

Everything has a default, so there need not be a file. Like all configuration it is JSON with
comments, and a key we do not know is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from clawgw.config import ConfigError, Name, Section, strip_comments
from clawgw.protocol.validate import problems

__all__ = ["SETTINGS_NAME", "Commands", "Location", "NodeSettings", "load_settings"]

SETTINGS_NAME = "node.json"


class Location(Section, frozen=True):
    """`location`: where this machine stands. Degrees, and metres of accuracy."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    accuracy: Annotated[float, Meta(ge=0)] = 100.0


class Commands(Section, frozen=True):
    """`commands`: which commands the node offers, of those this machine can do.

    `allow` missing means all; an entry ending in `.*` means a whole family; `deny` wins.
    """

    allow: tuple[Name, ...] | None = None
    deny: tuple[Name, ...] = ()

    def permit(self, command: str) -> bool:
        """Whether the node may offer a command."""
        allowed = self.allow is None or any(_covers(entry, command) for entry in self.allow)
        return allowed and not any(_covers(entry, command) for entry in self.deny)


class NodeSettings(Section, frozen=True):
    """The whole file. See docs/node-host.md for `trustGatewayApprovals`."""

    display_name: Name | None = None
    location: Location | None = None
    commands: Commands = Commands()
    trust_gateway_approvals: bool | None = None


def load_settings(path: Path) -> NodeSettings:
    """The settings in a file; the defaults where there is none.

    :raises ConfigError: naming the file and every path in it that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return NodeSettings()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"cannot read {path}: {problem}") from None
    try:
        value = msgspec.json.decode(strip_comments(text).strip().encode() or b"{}")
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from None
    try:
        return msgspec.convert(value, NodeSettings)
    except msgspec.ValidationError:
        found = problems(msgspec.json.schema(NodeSettings), value)
        raise ConfigError(f"{path}: {'; '.join(found)}") from None


def _covers(entry: str, command: str) -> bool:
    return entry == command or (entry.endswith(".*") and command.startswith(entry[:-1]))
