"""`channels.signal`: what an account can be told beside what all channels have.

Keys are OpenClaw's, but for two of our own: `command`, the words that start `signal-cli` where a
path is not enough (another configuration directory, another machine), and `socket`, where a daemon
of one's own listens for JSON-RPC. OpenClaw's HTTP daemon (`httpUrl`) is not used.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from clawgw.channels.settings import AccountSettings, Entry
from clawgw.section import Name

Number = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{4,14}$")]
Socket = Annotated[str, Meta(pattern=r"^(tcp:.+:[0-9]{1,5}|unix:/.+)$")]
Command = Annotated[tuple[Name, ...], Meta(min_length=1)]
Milliseconds = Annotated[int, Meta(ge=1000, le=120_000)]


class SignalAccount(AccountSettings, frozen=True):
    """An account at Signal.

    Attributes:
        account: its phone number, `+` and digits; not needed where `signal-cli` has just one.
        cli_path: the program.
        command: the words that start it, instead; our own arguments follow them.
        socket: where its daemon listens, instead of starting it: `tcp:host:port`, `unix:/path`.
        receive_mode: how that daemon was told to receive.
        ignore_attachments: do not take in files.
        ignore_stories: do not take in stories.
        send_read_receipts: show writers that their messages have been read.
        reaction_notifications: of which reactions the agent hears: to our messages, or to all,
            or those of `reaction_allowlist`.
        startup_timeout_ms: how long `signal-cli` may take to start.
    """

    account: Number | None = None
    cli_path: Name = "signal-cli"
    command: Command | None = None
    socket: Socket | None = None
    receive_mode: Literal["on-start", "manual"] = "on-start"
    ignore_attachments: bool = False
    ignore_stories: bool = True
    send_read_receipts: bool = False
    reaction_notifications: Literal["off", "own", "all", "allowlist"] = "own"
    reaction_allowlist: tuple[Entry, ...] = ()
    startup_timeout_ms: Milliseconds = 60_000

    @property
    def words(self) -> tuple[str, ...]:
        """The command without our arguments."""
        return self.command or (self.cli_path,)


class SignalSettings(SignalAccount, frozen=True):
    """`channels.signal`: one account, or several under `accounts`."""

    accounts: dict[str, SignalAccount] = field(default_factory=dict)
