"""A channel that does what the test says, without a provider."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from msgspec import field
from twisted.internet.defer import Deferred

from clawgw.channels.adapter import Adapter, Capabilities, Host, LoginStep, Provider
from clawgw.channels.format import Format
from clawgw.channels.messages import Chat, Inbound, Media, Part, Sender, Target
from clawgw.channels.settings import AccountSettings

ALICE = Sender(id="1001", names=("@alice",), name="Alice")
BOB = Sender(id="1002", names=("@bob",), name="Bob")


class ToyAccount(AccountSettings, frozen=True):
    """Settings of the toy channel."""

    token: str | None = "t"
    stream: bool = False

    def configured(self, environ: Any) -> str | None:
        return None if self.token else "a token is missing: set token"

    def streams(self) -> bool:
        return self.stream


class ToySettings(ToyAccount, frozen=True):
    """`channels.toy`."""

    accounts: dict[str, ToyAccount] = field(default_factory=dict)


class ToyAdapter(Adapter[ToyAccount]):
    """Connects when the test lets it, and answers sends from a list.

    Attributes:
        lives: what each `run` waits for; a life ends when the test fires it.
        outcomes: what the next sends do: an exception to raise, an id, or a Deferred.
        sent: every part that was handed over, with its target.
        found: what `find` answers.
    """

    channel = "toy"
    capabilities = Capabilities(
        format=Format.PLAIN, text_limit=200, edits=True, edit_seconds=1.0, typing_seconds=4.0,
        polls=True, buttons=True,
    )  # fmt: skip

    def __init__(self, account: str, settings: ToyAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        self.lives: list[Deferred[None]] = []
        self.outcomes: deque[Any] = deque()
        self.sent: list[tuple[Target, Part]] = []
        self.edited: list[tuple[str, str]] = []
        self.typed = 0
        self.found: deque[Any] = deque()
        self.asked: list[Part] = []
        self.files: deque[Any] = deque()
        self.login: deque[Any] = deque()
        self.probed: Any = {"bot": "toy"}

    async def run(self) -> None:
        life: Deferred[None] = Deferred()
        self.lives.append(life)
        await life

    async def send(self, target: Target, part: Part) -> str:
        self.sent.append((target, part))
        outcome = self.outcomes.popleft() if self.outcomes else f"m{len(self.sent)}"
        if isinstance(outcome, Deferred):
            outcome = await outcome
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    async def find(self, target: Target, part: Part) -> str | None:
        self.asked.append(part)
        found = self.found.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    async def edit(self, target: Target, message_id: str, part: Part) -> None:
        self.edited.append((message_id, part.text))

    async def typing(self, target: Target) -> None:
        self.typed += 1

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        file = self.files.popleft()
        if isinstance(file, Deferred):
            file = await file
        if isinstance(file, Exception):
            raise file
        return media

    async def probe(self) -> dict[str, Any]:
        if isinstance(self.probed, Exception):
            raise self.probed
        return dict(self.probed)

    async def login_start(self, *, force: bool, phone: str | None = None) -> LoginStep:
        return self.login.popleft()

    async def login_wait(self, seconds: float, shown_qr: str | None = None) -> LoginStep:
        step = self.login.popleft()
        return step(shown_qr) if callable(step) else step

    async def logout(self) -> bool:
        return True

    def address(self, text: str) -> tuple[str, str | None]:
        if not text.strip().lstrip("-").isdigit():
            raise ValueError("expected a number")
        return text.strip(), None

    @property
    def texts(self) -> list[str]:
        """What was sent, as text."""
        return [part.text for _, part in self.sent]


TOY = Provider(
    id="toy",
    label="Toy",
    detail="Toy bot",
    image="gift",
    settings=ToySettings,
    adapter=f"{__name__}:ToyAdapter",
)


def direct(number: int, text: str = "hello", sender: Sender = ALICE, **more: Any) -> Inbound:
    """A direct message."""
    chat = Chat(id=sender.id)
    values = {"chat": chat, "sender": sender, "sent_at": 1_800_000_000_000, "text": text}
    return Inbound(message_id=f"{sender.id}:{number}", **(values | more))


def in_group(
    number: int, text: str = "hello", sender: Sender = ALICE, group: str = "-50", **more: Any
) -> Inbound:
    """A message in a group."""
    chat = Chat(id=group, kind="group", title="Friends", thread=more.pop("thread", None))
    return direct(number, text, sender, chat=chat, **more)
