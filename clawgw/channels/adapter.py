"""The adapter interface: what a provider's package has to do, and nothing else.

An adapter turns the provider's traffic into `Inbound` and `Part`s into provider calls. It holds one
connection at a time, which is its `run`: connect, tell the host, hand over what arrives, until it
breaks. Everything else is done for it: starting it again with back-off, storing, routing, waiting,
retrying, splitting, marking up.

Two promises are the adapter's own:

- What has been received is acknowledged to the provider only after `Host.received` has returned.
- `send` raises what it knows: `SendLater` when the provider certainly did not take the message,
  `SendRefused` when it never will, `SendUnknown` when nobody can tell. A retry after `SendUnknown`
  is free if the provider recognises `Part.key` (`client_ids`), is decided by asking the provider
  where it can be asked (`find`), and otherwise may make a double, which is counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.channels.format import Format
from clawgw.channels.messages import Inbound, Media, Part, Press, Target
from clawgw.channels.settings import AccountSettings

SettingsT = TypeVar("SettingsT", bound=AccountSettings)


def clause(problem: object) -> str:
    """An error's words without their full stop, for a sentence that goes on."""
    return str(problem).rstrip(".")


class Fault(Exception):
    """Why a connection ended, in a sentence for the operator, without secrets.

    Args:
        retry_after: seconds the provider asked to wait.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Fatal(Fault):
    """Trying again is of no use until the operator changes something; the message says what."""


class LoggedOut(Fatal):
    """The account was unlinked at the provider; somebody has to log in again."""


class SendError(Exception):
    """A message was not delivered, or perhaps not; the message says why, without its content."""


class SendLater(SendError):
    """Certainly not delivered; try again.

    Args:
        retry_after: seconds the provider asked to wait, None for our own back-off.
        account_wide: whether everything of this account has to wait, not this chat alone.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, account_wide: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.account_wide = account_wide


class SendRefused(SendError):
    """Certainly not delivered, and never will be."""


class SendUnknown(SendError):
    """Delivered or not, nobody can tell."""


class LoginProblem(Exception):
    """A login cannot go on; the message is for the person who logs in."""


class Unsupported(Exception):
    """This provider has no such thing; the message says so."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do.

    Attributes:
        format: how its text is marked up.
        text_limit: the longest text, counted as `channels.chunks` counts for the format.
        caption_limit: the same for the text that goes with a file; 0: none does.
        client_ids: a part sent again with the same key is not shown twice.
        client_ids_seconds: for how long the provider remembers the key; 0: for ever.
        finds: `find` can tell whether a part arrived.
        edits: our messages can be replaced, so drafts can be shown while the agent writes.
        edit_seconds: at most so often.
        typing_seconds: how often "is typing" has to be repeated; 0: there is no such thing.
        max_media_bytes: of one file, out.
        needs_connection: sending is of no use while `run` is not connected.
        login: there is a login with a QR code or the like (`login_start`).
        login_by_code: that login takes a phone number, and gives a code to type in at the phone.
    """

    format: Format
    text_limit: int
    caption_limit: int = 0
    client_ids: bool = False
    client_ids_seconds: float = 0.0
    finds: bool = False
    edits: bool = False
    edit_seconds: float = 1.5
    typing_seconds: float = 0.0
    buttons: bool = False
    polls: bool = False
    media: bool = True
    max_media_bytes: int = 50 * 1024 * 1024
    needs_connection: bool = False
    login: bool = False
    login_by_code: bool = False


class LoginStep(msgspec.Struct, frozen=True, kw_only=True):
    """Where a login is. `qr`: the text of a QR code to scan; `code`: to type in at the phone."""

    message: str
    connected: bool = False
    qr: str | None = None
    code: str | None = None


class Host(Protocol):
    """What an adapter is given.

    Attributes:
        reactor: for connections, processes and time.
        directory: this account's own directory in the state directory (mode 0700).
        in_thread: runs a blocking function in the thread pool.
        environ: the Gateway's environment, for child processes; may hold secrets.
        log: the account's log; its lines begin with the channel and the account.
    """

    reactor: Any
    directory: Path
    in_thread: Callable[..., Deferred[Any]]
    environ: Mapping[str, str]
    log: Logger

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        """Store messages, and with them where to go on (`cursor`), in one transaction.

        What was stored before is recognised by its `message_id` and dropped. When this returns,
        the messages are safe and may be acknowledged.

        Raises:
            StoreError: it could not be stored; do not acknowledge, end the connection.
        """

    async def cursor(self) -> dict[str, str]:
        """All values stored by `received` and `remember`."""

    async def remember(self, cursor: Mapping[str, str | None]) -> None:
        """Store values by themselves; None forgets one."""

    async def pressed(self, press: Press) -> str:
        """Somebody pressed a button; returns what to show them."""

    def connected(self, **details: str) -> None:
        """The connection stands. `details` (`name`, `id`, `mode`) are shown in the status."""

    def warn(self, message: str) -> None:
        """Show a trouble in the status that does not end the connection; empty: it is over."""


class Adapter(ABC, Generic[SettingsT]):
    """One account of one channel.

    Args:
        account: the account's name in the configuration, `default` where it has none.
        settings: the account's configuration.
        host: see `Host`.
    """

    channel: str
    capabilities: Capabilities

    def __init__(self, account: str, settings: SettingsT, host: Host) -> None:
        self.account = account
        self.settings = settings
        self.host = host

    @abstractmethod
    async def run(self) -> None:
        """Connect and receive until the connection ends. Cancelled to stop; clean up then.

        Raises:
            Fault, Fatal, LoggedOut: why it ended. Returning means: connect again at once.
        """

    @abstractmethod
    async def send(self, target: Target, part: Part) -> str:
        """Send a part; returns the provider's id of the message.

        Raises:
            SendLater, SendRefused, SendUnknown: see the module. Anything else that escapes is
                taken for `SendUnknown`.
        """

    async def find(self, target: Target, part: Part) -> str | None:
        """The provider's id of a part whose outcome is unknown; None if it did not arrive.

        Raises:
            SendLater: it cannot be asked now.
            Unsupported: of this part, nobody can tell.
        """
        raise Unsupported(f"{self.channel} cannot tell")

    def address(self, text: str) -> tuple[str, str | None]:
        """Chat and thread that an address as people write it means.

        Raises:
            ValueError: it is none; the message says what was expected.
        """
        return text.strip(), None

    async def reach(self, chat: str) -> str:
        """The chat to send to, where an address is a person's (a DM has to be opened first).

        Raises:
            SendLater, SendRefused: it cannot be.
        """
        return chat

    async def edit(self, target: Target, message_id: str, part: Part) -> None:
        """Replace one of our messages while the agent writes. Best effort; raises `SendError`."""
        self._unsupported("edit messages")

    async def typing(self, target: Target) -> None:
        """Show that an answer is being written. Best effort; raises `SendError`."""

    async def seen(self, message: Inbound) -> None:
        """The message has been routed: a read receipt, where wanted. Best effort."""

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        """Bring a file that came with a message to `path`; returns it with what is known now.

        Raises:
            SendLater: not now; try again.
            SendRefused: never; the message says why (too large, gone).
        """
        self._unsupported("fetch files")

    async def probe(self) -> dict[str, Any]:
        """Ask the provider who we are; JSON for `channels.status`.

        Raises:
            Fault: it did not work, and why.
        """
        self._unsupported("be probed")

    async def check(self) -> dict[str, Any]:
        """Whether the account would work, asked before it is configured; it does not run.

        Returns what the provider says of it, as `probe` does.

        Raises:
            Fatal: it would not, and why; LoggedOut: once somebody has logged in.
            Fault: that could not be found out, and why.
        """
        return await self.probe()

    async def login_start(self, *, force: bool, phone: str | None = None) -> LoginStep:
        """Begin a login; `force` gives up a working one.

        Raises:
            LoginProblem: it cannot be begun, and why.
        """
        self._unsupported("log in this way; set its token in the configuration")

    async def login_wait(self, seconds: float, shown_qr: str | None = None) -> LoginStep:
        """Wait until somebody has logged in, or for another QR code than the one shown.

        Args:
            shown_qr: the text of the code on the screen; None: whoever waits can show no other,
                so the wait is for the login alone.

        Raises:
            LoginProblem: it failed, and why.
        """
        self._unsupported("log in this way")

    async def logout(self) -> bool:
        """Give up the login; returns whether there was one."""
        self._unsupported("log out; remove its token from the configuration")

    async def close(self) -> None:
        """Let go of whatever is held beside `run` (a login that goes on, an HTTP client)."""

    def _unsupported(self, what: str) -> NoReturn:
        raise Unsupported(f"{self.channel} cannot {what}")


@dataclass(frozen=True)
class Provider:
    """A channel there can be: what it is called, how it is configured, where its adapter is.

    A Gateway without the channel loads nothing of its adapter.

    Attributes:
        label, detail, image: how apps show it (`image` is an SF Symbols name).
        settings: the type of an account's section of the configuration.
        adapter: its `Adapter`, as `module:Class`.
    """

    id: str
    label: str
    detail: str
    image: str
    settings: type[AccountSettings]
    adapter: str

    def load(self) -> type[Adapter[Any]]:
        """The adapter's class; the first time that takes a moment: not for the reactor.

        Raises:
            ImportError: something that it needs is not there.
        """
        module, _, name = self.adapter.partition(":")
        loaded: type[Adapter[Any]] = getattr(import_module(module), name)
        return loaded

    def make(self, account: str, settings: AccountSettings, host: Host) -> Adapter[Any]:
        """An adapter for one account.

        Raises:
            ImportError: see `load`.
        """
        return self.load()(account, settings, host)
