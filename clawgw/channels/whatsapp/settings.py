"""`channels.whatsapp`: OpenClaw's keys, and where to find what is usually found by itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from clawgw.channels.settings import AccountSettings
from clawgw.section import Name, Positive, Section

HOST_LOCK = ".clawgw-whatsapp.lock"
WHAT_TO_INSTALL = (
    "WhatsApp needs Node.js 20 or newer with npm: install them "
    "(Debian, Ubuntu: apt install nodejs npm; macOS: brew install node; or from nodejs.org)"
)


class AckReaction(Section, frozen=True):
    """A reaction that says at once that a message has been taken; no emoji: none."""

    emoji: str = ""
    direct: bool = True
    group: Literal["always", "mentions", "never"] = "mentions"


class WhatsAppAccount(AccountSettings, frozen=True):
    """A linked WhatsApp account.

    Attributes:
        self_chat_mode: the account is the operator's own; what they write to themselves is for
            the agent, nothing is marked as read, and the phone keeps ringing.
        send_read_receipts: what the agent has taken gets blue ticks.
        auth_dir: where the login is kept, instead of the account's own directory.
        command: starts the sidecar, instead of the one that comes with clawgw.
        socket_url: WhatsApp's WebSocket address, for a proxy or a test.
    """

    self_chat_mode: bool = False
    send_read_receipts: bool = True
    ack_reaction: AckReaction = field(default_factory=AckReaction)
    media_max_mb: Positive = 50
    auth_dir: Name | None = None
    command: Annotated[tuple[Name, ...], Meta(min_length=1)] | None = None
    socket_url: Annotated[str, Meta(pattern=r"^wss?://")] | None = None

    def configured(self, environ: Mapping[str, str]) -> str | None:
        """Node.js has to be there; whether a phone is linked is found out when it is started."""
        if self.command is not None or shutil.which("node", path=environ.get("PATH")):
            return None
        return WHAT_TO_INSTALL


class WhatsAppSettings(WhatsAppAccount, frozen=True):
    """`channels.whatsapp`."""

    accounts: dict[str, WhatsAppAccount] = field(default_factory=dict)


def locks_of(
    directory: Path, settings: WhatsAppAccount, environ: Mapping[str, str]
) -> tuple[Path, ...]:
    """What a session has to hold: its login, and that it is the only one of this user's host.

    A sidecar of the operator's own, or one that is pointed elsewhere, does not count as the host's.
    """
    own = directory / "session.lock"
    home = environ.get("HOME")
    if settings.command is not None or settings.socket_url is not None or not home:
        return (own,)
    return (Path(home) / HOST_LOCK, own)
