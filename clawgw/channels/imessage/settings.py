"""`channels.imessage`: what an account can be told beside what all channels have.

Keys are OpenClaw's, but for one of our own: `command`, the words that start `imsg` where a path is
not enough, such as `["ssh", "-T", "mac", "imsg"]`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from clawgw.channels.settings import AccountSettings
from clawgw.section import Name

Command = Annotated[tuple[Name, ...], Meta(min_length=1)]
Region = Annotated[str, Meta(pattern="^[A-Z]{2}$")]
Milliseconds = Annotated[int, Meta(ge=1000, le=120_000)]
RemoteHost = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@:\[\]-]*[A-Za-z0-9_.\]]$")]


class IMessageAccount(AccountSettings, frozen=True):
    """A Mac that is signed in to Messages.

    Attributes:
        cli_path: the program.
        command: the words that start it, instead; our own arguments follow them.
        db_path: where Messages keeps its database, if not where it always does.
        remote_host: the Mac's name for `ssh`, where files are fetched and left when `imsg` runs
            on another machine.
        service: how direct messages go out.
        region: the country that numbers without one belong to.
        include_attachments: take in files.
        reaction_notifications: of which reactions the agent hears: to our messages, or to all.
        startup_timeout_ms: how long `imsg` may take to start.
    """

    cli_path: Name = "imsg"
    command: Command | None = None
    db_path: Name | None = None
    remote_host: RemoteHost | None = None
    service: Literal["imessage", "sms", "auto"] = "auto"
    region: Region = "US"
    include_attachments: bool = True
    reaction_notifications: Literal["off", "own", "all"] = "own"
    startup_timeout_ms: Milliseconds = 60_000

    @property
    def words(self) -> tuple[str, ...]:
        """The whole command."""
        words = (*(self.command or (self.cli_path,)), "rpc")
        return (*words, "--db", self.db_path) if self.db_path else words


class IMessageSettings(IMessageAccount, frozen=True):
    """`channels.imessage`: one account, or several under `accounts`."""

    accounts: dict[str, IMessageAccount] = field(default_factory=dict)
