"""What a node may be asked to do.

What a node declares when it connects is a claim. What counts is

    declared ∩ (allowed on its platform + `gateway.nodes.allowCommands`) - `denyCommands`

and, where the commands of a node are approved by an operator (`nodes.pairing`), ∩ approved.

The platform is a claim too. One that we do not know, or that the device family contradicts, gets
the few commands that harm nobody. A version 4 node has commands that need `allowCommands` on every
platform, because they look into somebody's life: taking pictures, recording the screen, reading
and sending messages. Version 3 apps expect those of a phone to work once the phone's owner has
switched them on.

Sources of the tables: the node documentation of OpenClaw 2026.1.30 (version 3) and 2026.9.6
(version 4). Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from clawgw.trust import scopes

Platform = Literal["ios", "watchos", "android", "macos", "windows", "linux", "unknown"]
Reason = Literal[
    "command not allowlisted", "command not declared by node", "node did not declare commands"
]

_CANVAS = frozenset(
    f"canvas.{name}"
    for name in (
        "present", "hide", "navigate", "eval", "snapshot",
        "a2ui.push", "a2ui.pushJSONL", "a2ui.reset",
    )
)  # fmt: skip
_CAMERA = frozenset({"camera.list", "camera.snap", "camera.clip"})
_SCREEN = frozenset({"screen.record"})
_LOCATION = frozenset({"location.get"})
_SMS = frozenset({"sms.send"})
_HOST = frozenset(
    {
        "system.run", "system.run.prepare", "system.which", "system.notify",
        "system.execApprovals.get", "system.execApprovals.set", "browser.proxy",
    }
)  # fmt: skip
_PHONE = _CANVAS | _CAMERA | _SCREEN | _LOCATION

_HARMLESS = frozenset({"camera.list", "location.get", "system.notify"})

_VERSION_3: dict[Platform, frozenset[str]] = {
    "ios": _PHONE,
    "watchos": frozenset(),
    "android": _PHONE | _SMS,
    "macos": _PHONE | _HOST,
    "linux": _HOST,
    "windows": _HOST,
    "unknown": _HARMLESS,
}

_DEVICE = frozenset({"device.info", "device.status"})
_PERSONAL = frozenset(
    {
        "contacts.search", "calendar.events", "reminders.list", "photos.latest",
        "motion.activity", "motion.pedometer",
    }
)  # fmt: skip
_DESKTOP = _HOST | {
    "browser.proxy.upload.v1", "mcp.tools.call.v1", "fs.listDir", "screen.snapshot",
    "desktop.stream", "computer.act",
}  # fmt: skip

_VERSION_4: dict[Platform, frozenset[str]] = {
    "ios": _HARMLESS | _DEVICE | _PERSONAL | _CANVAS,
    "watchos": _DEVICE | {"system.notify"},
    "android": _HARMLESS | _DEVICE | _PERSONAL | _CANVAS | {
        "notifications.list", "notifications.actions", "device.permissions", "device.health",
        "device.apps", "callLog.search", "mobile.ui.observe", "mobile.ui.act",
    },
    "macos": _HARMLESS | _DEVICE | _PERSONAL | _CANVAS | _DESKTOP | {
        "camera.ptz.status", "device.apps",
    },
    "windows": _HARMLESS | _DEVICE | _DESKTOP,
    "linux": _DESKTOP,
    "unknown": _HARMLESS,
}  # fmt: skip

PRIVATE = frozenset(
    {
        "camera.snap", "camera.clip", "camera.ptz.control", "screen.record", "contacts.add",
        "calendar.add", "reminders.add", "health.summary", "sms.send", "sms.search",
    }
)  # fmt: skip
"""Commands of version 4 nodes that only `allowCommands` allows."""

_TALK = frozenset(f"talk.ptt.{name}" for name in ("start", "stop", "cancel", "once"))

ADMIN_COMMANDS = frozenset(
    {"browser.proxy", "browser.proxy.upload.v1", "fs.listDir", "terminal.upload"}
)
"""Commands that `node.invoke` relays for admins only."""

_NEED_ADMIN_TO_APPROVE = frozenset(
    {
        "system.run", "system.run.prepare", "system.which", "browser.proxy",
        "browser.proxy.upload.v1", "fs.listDir", "system.execApprovals.get",
        "system.execApprovals.set",
    }
)  # fmt: skip

_PREFIXES: tuple[tuple[str, Platform], ...] = (
    ("ios", "ios"), ("ipados", "ios"), ("watchos", "watchos"), ("android", "android"),
    ("mac", "macos"), ("darwin", "macos"), ("win", "windows"), ("linux", "linux"),
)  # fmt: skip
_FAMILIES: tuple[tuple[str, Platform], ...] = (
    ("iphone", "ios"), ("ipad", "ios"), ("ios", "ios"), ("watch", "watchos"),
    ("android", "android"), ("mac", "macos"), ("windows", "windows"), ("linux", "linux"),
)  # fmt: skip


def platform_of(platform: str, family: str = "") -> Platform:
    """Which table belongs to what a node calls its platform and device family."""
    name, kind = platform.strip().lower(), family.strip().lower()
    by_name = next((found for prefix, found in _PREFIXES if name.startswith(prefix)), None)
    by_family = next((found for part, found in _FAMILIES if part in kind), None)
    if name and by_name is None:
        return "unknown"
    if by_name and by_family and by_name != by_family:
        return "unknown"
    return by_name or by_family or "unknown"


@dataclass(frozen=True)
class Claims:
    """What a node says of itself that matters here.

    Attributes:
        version: the protocol version it speaks.
        commands: those it declares, without repetition.
    """

    version: int
    platform: str
    device_family: str
    caps: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class CommandPolicy:
    """The configuration's say: `gateway.nodes.allowCommands` and `denyCommands`."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def allowed(self, claims: Claims) -> frozenset[str]:
        """Every command a node like this may be asked, whether it has it or not."""
        table = _VERSION_3 if claims.version < 4 else _VERSION_4
        commands = table[platform_of(claims.platform, claims.device_family)]
        if claims.version >= 4 and _talks(claims):
            commands |= _TALK
        return (commands | self.allow) - self.deny

    def effective(self, claims: Claims, approved: Collection[str] | None = None) -> tuple[str, ...]:
        """The commands that count, in the order they were declared.

        Args:
            approved: what an operator approved; None where no approval is needed.
        """
        allowed = self.allowed(claims)
        return tuple(
            command
            for command in claims.commands
            if command in allowed and (approved is None or command in approved)
        )

    def refusal(
        self, command: str, claims: Claims, approved: Collection[str] | None = None
    ) -> Reason | None:
        """Why a command may not be asked for; None if it may."""
        allowed = self.allowed(claims)
        if command not in allowed:
            return "command not allowlisted"
        if command in claims.commands and (approved is None or command in approved):
            return None
        if self.effective(claims, approved):
            return "command not declared by node"
        return "node did not declare commands"

    def words(self, reason: Reason, command: str, claims: Claims) -> str:
        """A refusal for the person who asked, with what to change."""
        return f"node command not allowed: {self._words(reason, command, claims)}"

    def _words(self, reason: Reason, command: str, claims: Claims) -> str:
        if reason == "command not allowlisted":
            if command in self.deny:
                return f'"{command}" is in gateway.nodes.denyCommands'
            if command in PRIVATE:
                return f'"{command}" has to be listed in gateway.nodes.allowCommands'
            return (
                f'"{command}" is not allowed on platform "{claims.platform}"; '
                "gateway.nodes.allowCommands can add it"
            )
        if command in claims.commands:
            return (
                "this node's commands wait for approval; see `clawgw nodes pending`, then "
                "`clawgw nodes approve REQUEST_ID`"
            )
        return f'the node (platform "{claims.platform}") has no command "{command}"'


def _talks(claims: Claims) -> bool:
    return "talk" in claims.caps or any(name.startswith("talk.") for name in claims.commands)


def scopes_to_approve(commands: Iterable[str]) -> list[str]:
    """The scopes an operator needs to approve these commands."""
    wanted = frozenset(commands)
    if wanted & _NEED_ADMIN_TO_APPROVE:
        return [scopes.PAIRING, scopes.ADMIN]
    return [scopes.PAIRING, scopes.WRITE] if wanted else [scopes.PAIRING]
