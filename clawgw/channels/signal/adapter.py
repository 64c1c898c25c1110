"""The Signal adapter: one account, through `signal-cli` and its JSON-RPC.

Either `signal-cli -a ACCOUNT jsonRpc` is a child of ours, or a daemon of the operator's is spoken
to over a socket. `signal-cli` acknowledges a message to Signal's server before it tells it to us.
With a child nothing is lost by that when the Gateway is killed, see `spool`. With a daemon, what it
has written to a connection that breaks is gone: it keeps no copy and cannot be asked again.

`send` takes no id of ours. With a child, the file it writes to tells afterwards how a send ended,
so that `find` knows, unless the child itself was killed in the middle of it. A daemon cannot be
asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from clawgw.channels.adapter import (
    Adapter,
    Capabilities,
    Fatal,
    Fault,
    Host,
    LoginProblem,
    LoginStep,
    SendLater,
    Unsupported,
)
from clawgw.channels.child import RpcLink
from clawgw.channels.format import Format
from clawgw.channels.intake import Intake
from clawgw.channels.messages import Inbound, Media, Part, Target
from clawgw.channels.settings import entries
from clawgw.channels.signal import sending
from clawgw.channels.signal.accounts import NOT_INSTALLED, Accounts, nothing_to_ask, own_uuid
from clawgw.channels.signal.answers import Answers
from clawgw.channels.signal.envelope import Own, Wanted, inbound, unreadable
from clawgw.channels.signal.files import Files
from clawgw.channels.signal.login import Login
from clawgw.channels.signal.outgoing import BUSY_SECONDS, Outgoing
from clawgw.channels.signal.settings import SignalAccount
from clawgw.channels.signal.spool import Spool, SpooledProcess
from clawgw.jsonrpc import ProcessGone, RpcError, RpcTimeout
from clawgw.shield import to_its_end
from clawgw.store.database import StoreError

ASK_SECONDS = 30.0
STORE_PAUSE = 2.0
REST_SECONDS = 5.0
SPOOL_LIMIT = 64 * 1024 * 1024
REMEMBERED_TEXTS = 500
QUOTED_LENGTH = 200
TEXT_LIMIT = 4000
MAX_FILE = 16 * 1024 * 1024

_CHILD = Capabilities(
    format=Format.SIGNAL,
    text_limit=TEXT_LIMIT,
    caption_limit=TEXT_LIMIT,
    finds=True,
    typing_seconds=10.0,
    max_media_bytes=MAX_FILE,
    needs_connection=True,
    login=True,
)
_DAEMON = replace(_CHILD, finds=False)


class SignalAdapter(Adapter[SignalAccount]):
    """One account at Signal."""

    channel = "signal"
    capabilities = _CHILD

    def __init__(self, account: str, settings: SignalAccount, host: Host) -> None:
        super().__init__(account, settings, host)
        if settings.socket is not None:
            self.capabilities = _DAEMON
        self._name = f"signal ({account})"
        self._spool = Spool(host.reactor, host.directory / "spool", host.in_thread)
        self._files = Files(settings.words, host.environ, host.in_thread)
        self._accounts = Accounts(settings, host, self._name)
        self._answers = Answers()
        self._outgoing = Outgoing(host, self._answers, self._renew)
        self._link: RpcLink | None = None
        self._common: dict[str, Any] = {}
        self._own = Own(settings.account or "")
        self._wanted = Wanted(
            attachments=not settings.ignore_attachments,
            stories=not settings.ignore_stories,
            reactions=settings.reaction_notifications,
            reaction_senders=entries(settings.reaction_allowlist),
        )
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._login: Login | None = None
        self._logging_out = False
        self._child: SpooledProcess | None = None
        self._early: list[dict[str, Any]] = []
        self._intake = Intake(host.received, lambda _: None)
        self._position: Callable[[], dict[str, str] | None] = lambda: None

    # A connection's life

    async def run(self) -> None:
        """See `Adapter.run`."""
        if self._login is not None and self._login.under_way:
            raise Fault("waiting for the login to be completed", retry_after=BUSY_SECONDS)
        if self._logging_out:
            raise Fault("waiting for the logout to be completed", retry_after=BUSY_SECONDS)
        if self.settings.socket is None:
            await self._run_child()
        else:
            await self._run_daemon()

    async def _run_child(self) -> None:
        number = await self._accounts.ours()
        cursor = await self.host.cursor()
        self._own = Own(number, cursor.get("uuid"))
        self._answers.recall(cursor.get("answers"), cursor.get("lost"))
        await self._read_what_is_left(cursor.get("spool", ""))
        child = await self._start_child(number)
        try:
            try:
                await self._serve(child)
            except ProcessGone as problem:
                raise await self._accounts.why_not(number, str(problem)) from None
        finally:
            self._link = self._child = None
            await to_its_end(Deferred.fromCoroutine(self._let_go(child)))

    async def _let_go(self, child: SpooledProcess) -> None:
        await child.stop()
        if self._answers.ended(orderly=child.exit_code == 0):
            await self.host.remember(self._answers.to_remember())

    async def _start_child(self, number: str) -> SpooledProcess:
        path, descriptor = await self._spool.new()
        child = SpooledProcess(
            self.host.reactor, self._name, self.host.in_thread, path, descriptor,
            on_request=nothing_to_ask, on_notification=self._heard,
        )  # fmt: skip
        words = [*self.settings.words, "-a", number, "jsonRpc"]
        if self.settings.ignore_attachments:
            words.append("--ignore-attachments")
        if self.settings.ignore_stories:
            words.append("--ignore-stories")
        self._intake = Intake(self.host.received, lambda on: _hold(child, on))
        try:
            child.start(words, env=self.host.environ)
        except ProcessGone as problem:
            child.close()
            await self._spool.remove(path)
            raise Fatal(f"{problem}: {NOT_INSTALLED}") from None
        self._child = child
        self._position = lambda: {"spool": f"{path.name}:{child.position}"}
        return child

    async def _run_daemon(self) -> None:
        uuid = (await self.host.cursor()).get("uuid")
        self._own, self._early = Own(self.settings.account or "", uuid), []
        self._intake = Intake(self._store_for_good, lambda on: _hold(link, on))
        self._position = lambda: None
        try:
            link = await self._accounts.open_daemon(self._heard)
        except ProcessGone as problem:
            raise Fault(str(problem)) from None
        try:
            await self._serve(link)
        except (ProcessGone, RpcError, RpcTimeout) as problem:
            raise Fault(f"the daemon of signal-cli: {problem}") from None
        finally:
            self._link = None
            await to_its_end(Deferred.fromCoroutine(self._leave(link)))

    async def _leave(self, link: RpcLink) -> None:
        await link.stop()
        await self._store_the_rest()
        self._answers.ended(orderly=False)

    async def _store_for_good(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None
    ) -> None:
        """Store what a daemon said, however long that takes: it is nowhere else."""
        while True:
            try:
                return await self.host.received(messages, cursor)
            except StoreError as problem:
                self.host.log.warn("{why}; storing will be tried again", why=str(problem))
                await deferLater(self.host.reactor, STORE_PAUSE)

    async def _store_the_rest(self) -> None:
        """Store what a daemon said last, within some seconds."""
        self._intake.finish()
        storing = Deferred.fromCoroutine(self._intake.run())
        storing.addTimeout(REST_SECONDS, self.host.reactor)
        try:
            await storing
        except TimeoutError:
            self.host.log.error("the last messages of the daemon could not be stored")

    async def _greet(self, link: RpcLink) -> None:
        """Wait until it is up, and learn who we are.

        Raises:
            ProcessGone, Fault, RpcError, RpcTimeout
        """
        seconds = self.settings.startup_timeout_ms / 1000
        try:
            version = await link.request("version", {}, timeout=seconds)
        except RpcTimeout:
            raise Fault(f"signal-cli did not start within {seconds:g} s") from None
        except RpcError as problem:
            raise Fault(f"signal-cli says: {problem}") from None
        try:
            groups = await link.request("listGroups", self._common, timeout=ASK_SECONDS)
        except (RpcError, RpcTimeout):
            groups = None
        uuid = own_uuid(groups, self._own.number)
        if uuid is not None and uuid != self._own.uuid:
            self._own = Own(self._own.number, uuid)
            await self.host.remember({"uuid": uuid})
        if self.settings.socket is not None and self.settings.receive_mode == "manual":
            await link.request("subscribeReceive", self._common, timeout=ASK_SECONDS)
        self._link = link
        self.host.connected(
            name=self._own.number,
            id=self._own.uuid or self._own.number,
            mode="socket" if self.settings.socket else "child",
            version=_version(version),
        )

    async def _serve(self, link: RpcLink) -> None:
        """Store what is heard, from the first word on, until the link has ended.

        Raises:
            ProcessGone: it ended before it was up.
            Fault, RpcError, RpcTimeout, StoreError
        """
        ended = link.ended.addCallback(self._finish)
        storing = Deferred.fromCoroutine(self._intake.run())
        try:
            if self.settings.socket is not None:
                number, self._common = await self._accounts.of_daemon(link)
                self._own = Own(number, self._own.uuid)
                self._hear_early()
            await self._greet(link)
            await storing
        finally:
            storing.addErrback(lambda _: None)
            storing.cancel()
        reason = await ended
        if self._link is not None:  # else it was us who ended it
            raise Fault(f"signal-cli: {reason}")

    def _finish(self, reason: str) -> str:
        self._intake.finish()
        return reason

    def _renew(self) -> None:
        """Let the child end when its file has become too large; `run` is called again."""
        child = self._child
        if child is not None and child.position > SPOOL_LIMIT and self._answers.all_given:
            self._link = self._child = None
            child.stop()

    # Receiving

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        if method != "receive":
            return
        if not self._own.number:
            self._early.append(params)
            return
        self._intake.put(self._inbound(params), self._position())
        self._renew()

    def _hear_early(self) -> None:
        """What a daemon said before it was known which account is ours."""
        early, self._early = self._early, []
        for params in early:
            self._heard("receive", params)

    def _inbound(self, params: dict[str, Any]) -> Inbound | None:
        if "envelope" not in params and isinstance(params.get("result"), dict):
            params = params["result"]  # of a subscription
        if params.get("account", self._own.number) != self._own.number:
            return None
        try:
            message = inbound(params, self._own, self._wanted)
        except ValueError as problem:
            self.host.log.warn("{why}", why=str(problem))
            message = unreadable(params)
        if message is not None:
            self._texts[message.reply_id or message.message_id] = message.text[:QUOTED_LENGTH]
            if len(self._texts) > REMEMBERED_TEXTS:
                self._texts.popitem(last=False)
        return message

    async def _read_what_is_left(self, cursor: str) -> None:
        """Store what earlier children wrote, as far as that has not been done."""
        stored_in, _, stored_to = cursor.rpartition(":")
        for path in await self._spool.left():
            await self._spool.complete(path)
            stored = int(stored_to) if path.name == stored_in else 0
            position, over = 0, False
            while not over:
                lines, over = await self._spool.lines(path, position)
                messages = []
                for line, end in lines:
                    position = end
                    params = self._answers.read(line)
                    message = None if params is None or end <= stored else self._inbound(params)
                    if message is not None:
                        messages.append(message)
                await self.host.received(messages, {"spool": f"{path.name}:{position}"})
            await self.host.remember({"spool": None, **self._answers.to_remember()})
            await self._spool.remove(path)

    # Sending

    async def send(self, target: Target, part: Part) -> str:
        """See `Adapter.send`."""
        quoted = self._texts.get(part.reply_to or "", "")
        params = {**sending.params_of(target.chat, part, quoted), **self._common}
        timestamp = await self._outgoing.send(self._link, part.key, params, part.media)
        return f"{self._own.number}:{timestamp}"

    async def find(self, target: Target, part: Part) -> str | None:
        """See `Adapter.find`."""
        timestamp = self._outgoing.find(self._link, part.key)
        return None if timestamp is None else f"{self._own.number}:{timestamp}"

    def address(self, text: str) -> tuple[str, str | None]:
        """See `Adapter.address`."""
        return sending.address(text), None

    async def typing(self, target: Target) -> None:
        """See `Adapter.typing`."""
        await self._best_effort("sendTyping", sending.recipient(target.chat))

    async def seen(self, message: Inbound) -> None:
        """See `Adapter.seen`."""
        named = sending.message_name(message.reply_id or message.message_id)
        if not self.settings.send_read_receipts or message.own or named is None:
            return
        receipt = {"recipient": named[0], "targetTimestamp": [message.sent_at], "type": "read"}
        await self._best_effort("sendReceipt", receipt)

    async def _best_effort(self, method: str, params: dict[str, Any]) -> None:
        try:
            await self._ask(method, params)
        except RpcError as problem:
            raise sending.failure_of(problem) from None
        except Fault as problem:
            raise SendLater(str(problem)) from None

    async def fetch(self, media: Media, path: Any, max_bytes: int) -> Media:
        """See `Adapter.fetch`."""
        return await self._files.fetch(media, path, max_bytes, self._ask)

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        """Ask the running signal-cli.

        Raises:
            RpcError, Fault
        """
        if self._link is None:
            raise Fault("signal-cli is not running")
        try:
            return await self._link.request(method, {**params, **self._common}, timeout=ASK_SECONDS)
        except (ProcessGone, RpcTimeout) as problem:
            raise Fault(f"signal-cli: {problem}") from None

    # Accounts

    async def probe(self) -> dict[str, Any]:
        """See `Adapter.probe`."""
        try:
            version = await self._ask("version", {})
            groups = await self._ask("listGroups", {})
        except RpcError as problem:
            raise Fault(f"signal-cli says: {problem}") from None
        return {
            "number": self._own.number,
            "uuid": self._own.uuid,
            "version": _version(version),
            "groups": len(groups) if isinstance(groups, list) else 0,
        }

    async def check(self) -> dict[str, Any]:
        """See `Adapter.check`: whether signal-cli is there and has the account."""
        return {"number": await self._accounts.check()}

    async def login_start(self, *, force: bool, phone: str | None = None) -> LoginStep:
        """See `Adapter.login_start`."""
        if self._link is not None:
            if force:
                raise LoginProblem(
                    f"{self._own.number} is linked: log out first, with `clawgw channels logout`"
                )
            return LoginStep(message=f"{self._own.number} is linked.", connected=True)
        await self.close()
        self._login = Login(self.host.reactor, self._accounts.open_for_all, self._linked)
        return await self._login.start()

    async def login_wait(self, seconds: float, shown_qr: str | None = None) -> LoginStep:
        """See `Adapter.login_wait`."""
        if self._login is None:
            raise LoginProblem("no login is under way; begin one first")
        return await self._login.wait(seconds, shown_qr)

    async def logout(self) -> bool:
        """See `Adapter.logout`: removes what `signal-cli` has of an account that we linked."""
        number = (await self.host.cursor()).get("linked")
        if number is None:
            raise Unsupported(
                "this account was not linked by the Gateway: remove the device on the phone "
                "(Settings, Linked devices), then run `signal-cli deleteLocalAccountData`"
            )
        self._logging_out = True  # signal-cli gives an account to one process at a time
        try:
            link, self._link = self._child or self._link, None
            if link is not None:
                await link.stop()
            await self._accounts.remove(number)
            await self.host.remember({"linked": None})
        finally:
            self._logging_out = False
        return True

    async def close(self) -> None:
        """See `Adapter.close`: give up a login that is under way."""
        if self._login is not None:
            self._login.stop()
            await self._login.ended()

    async def _linked(self, number: str) -> None:
        await self.host.remember({"linked": number})
        if self.settings.account not in (None, number):
            raise LoginProblem(
                f"{number} was linked, but channels.signal.account is {self.settings.account}"
            )


def _hold(link: RpcLink, on: bool) -> None:
    (link.pause if on else link.resume)()


def _version(answer: Any) -> str:
    version = answer.get("version") if isinstance(answer, dict) else None
    return str(version or "unknown")[:40]
