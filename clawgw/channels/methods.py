"""Methods of channels.

`send`, `poll`, `message.action`, `channels.*`, `web.login.*`, `channel.pair.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredList, TimeoutError

from clawgw.channels.account import Account
from clawgw.channels.actions import request_of
from clawgw.channels.adapter import Fault, LoginProblem, LoginStep, SendError, Unsupported
from clawgw.channels.answers import route_of
from clawgw.channels.hub import Hub, default_of
from clawgw.channels.messages import Outbound, OutMedia, Poll, Target
from clawgw.channels.outbox import Delivery
from clawgw.channels.providers import Configured
from clawgw.channels.senders import SenderBook
from clawgw.channels.sending import Dispatch, Request
from clawgw.channels.sources import MediaSources
from clawgw.channels.status import status_of
from clawgw.events import EventSink
from clawgw.methods import Caller, MethodTable
from clawgw.protocol import channels as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid, unavailable
from clawgw.sessions.keys import SessionKeys, SessionName, chat_type
from clawgw.store.channels import SenderRow
from clawgw.store.database import Database
from clawgw.trust.scopes import ADMIN, PAIRING, READ, WRITE
from clawgw.trust.session_tokens import forbidden

MAX_TEXT = 100_000
MAX_FILES = 10
PROBE_SECONDS = 10.0
MAX_PROBE_SECONDS = 60.0
LOGIN_SECONDS = 120.0
MAX_LOGIN_SECONDS = 600.0


@dataclass(frozen=True)
class ChannelMethods:
    """The handlers.

    Attributes:
        configured: the accounts of the configuration as it is now.
    """

    reactor: Any
    database: Database
    hub: Hub
    dispatch: Dispatch
    sources: MediaSources
    senders: SenderBook
    events: EventSink
    keys: SessionKeys
    configured: Callable[[], Iterable[Configured]]
    now_ms: Callable[[], int]

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("send", self.send, scope=WRITE, agents=True)
        table.add("poll", self.poll, scope=WRITE)
        table.add("message.action", self.action, scope=WRITE)
        table.add("channels.status", self.status, scope=READ)
        table.add("channels.logout", self.logout, scope=ADMIN)
        table.add("web.login.start", self.login_start, scope=ADMIN)
        table.add("web.login.wait", self.login_wait, scope=ADMIN)
        table.add("channel.pair.list", self.pair_list, scope=PAIRING)
        table.add("channel.pair.approve", self.pair_approve, scope=PAIRING)
        table.add("channel.pair.reject", self.pair_reject, scope=PAIRING)
        table.add("channel.pair.remove", self.pair_remove, scope=PAIRING)

    # Sending

    async def send(self, caller: Caller, params: wire.SendParams) -> wire.Sent:
        """Send a message; answers when it is delivered, or is safe and takes longer."""
        text = given(params.message, "")
        if len(text) > MAX_TEXT:
            raise invalid(f"message: expected at most {MAX_TEXT} characters")
        _, target = self.dispatch.address(
            given(params.channel, None) or None,
            given(params.account_id, None) or None,
            params.to,
            given(params.thread_id, None) or None,
        )
        self._check_tool(caller, target)
        addresses = _addresses(params)
        if not (text.strip() or addresses or given(params.buffer, "")):
            raise invalid("message: expected a text or a file")
        message = Outbound(
            text=text,
            media=await self._files(params, addresses),
            reply_to=given(params.reply_to_id, None) or None,
            silent=given(params.silent, False),
        )
        return await self._dispatch(
            Request(
                "send", params, params.idempotency_key, target, message,
                self._mirror(caller, params),
            )
        )  # fmt: skip

    async def poll(self, _: Caller, params: wire.PollParams) -> wire.Sent:
        """Ask a question with answers to choose from."""
        account, target = self.dispatch.address(
            given(params.channel, None) or None,
            given(params.account_id, None) or None,
            params.to,
            given(params.thread_id, None) or None,
        )
        if not account.adapter.capabilities.polls:
            raise invalid(f"channel: {account.channel} has no polls")
        seconds = given(params.duration_seconds, None)
        poll = Poll(
            question=params.question,
            options=tuple(params.options),
            max_selections=min(given(params.max_selections, 1), len(params.options)),
            hours=-(-seconds // 3600) if seconds else given(params.duration_hours, None),
            anonymous=given(params.is_anonymous, None),
        )
        message = Outbound(poll=poll, silent=given(params.silent, False))
        return await self._dispatch(
            Request("poll", params, params.idempotency_key, target, message)
        )

    async def action(self, caller: Caller, params: wire.MessageActionParams) -> wire.Sent:
        """The same, as the stock command line asks for it."""
        request = request_of(params)
        if isinstance(request, wire.SendParams):
            sent = await self.send(caller, request)
        else:
            sent = await self.poll(caller, request)
        return replace(sent, ok=True)

    async def _dispatch(self, request: Request) -> wire.Sent:
        delivery = await self.dispatch.send(request)
        if delivery.state == "failed":
            raise unavailable(f"not delivered: {delivery.error}", code="SEND_FAILED")
        return _sent(request, delivery)

    async def _files(self, params: wire.SendParams, where: list[str]) -> tuple[OutMedia, ...]:
        """The files to send; none where the same was asked before, for there they are stored."""
        if len(where) > MAX_FILES:
            raise invalid(f"mediaUrls: expected at most {MAX_FILES}")
        content = given(params.buffer, "")
        if not (where or content):
            return ()
        if await self.dispatch.known("send", params, params.idempotency_key):
            return ()
        name, kind = given(params.filename, None), given(params.content_type, None)
        files = [await self.sources.decode(content, name, kind)] if content else []
        only = len(where) == 1 and not content
        for url in where:
            files.append(
                await self.sources.bring(url, name if only else None, kind if only else None)
            )
        return tuple(self._as_asked(file, params) for file in files)

    def _as_asked(self, file: OutMedia, params: wire.SendParams) -> OutMedia:
        if given(params.force_document, False):
            return replace(file, kind="file")
        if given(params.as_voice, False) and file.kind == "audio":
            return replace(file, kind="voice")
        return file

    def _mirror(self, caller: Caller, params: wire.SendParams) -> SessionName | None:
        key = given(params.session_key, "").strip()
        if not key:
            return None
        name = self.keys.parse(key, given(params.agent_id, None))
        if caller.bound_session is not None:
            caller.bound_session.check(*name)
            if name.key == caller.bound_session.key:
                return None  # the call itself is in the transcript
        return name

    def _check_tool(self, caller: Caller, target: Target) -> None:
        """An agent that answers in a group may write there and nowhere else.

        What is said in a group is said by whoever is in it.
        """
        bound = caller.bound_session
        if bound is None or chat_type(bound.key) == "direct":
            return
        own = self.database.read(route_of, bound.key)
        if own is None or (own.channel, own.chat) != (target.channel, target.chat):
            raise forbidden("from this group, messages can be sent to this group only")

    # How they are doing

    async def status(self, _: Caller, params: wire.ChannelsStatusParams) -> wire.ChannelsStatus:
        """How every account is doing; with `probe`, what its provider says."""
        only = given(params.channel, None)
        accounts = [one for one in self.hub if only in (None, one.channel)]
        configured = [one for one in self.configured() if only in (None, one.provider.id)]
        probes: dict[tuple[str, str], dict[str, Any]] = {}
        if given(params.probe, False):
            seconds = given(params.timeout_ms, int(PROBE_SECONDS * 1000)) / 1000
            seconds = min(max(seconds, 0.1), MAX_PROBE_SECONDS)
            asked = [Deferred.fromCoroutine(self._probe(one, seconds)) for one in accounts]
            answers: Any = await DeferredList(asked)
            probes = {
                account.id: answer
                for account, (_, answer) in zip(accounts, answers, strict=True)
                if answer is not None
            }
        return status_of(accounts, configured, self.now_ms(), probes, self.hub.problems)

    async def _probe(self, account: Account, seconds: float) -> dict[str, Any]:
        began = self.now_ms()
        work = Deferred.fromCoroutine(account.adapter.probe())
        work.addTimeout(seconds, self.reactor)
        try:
            found = {"ok": True, **await work}
        except TimeoutError:
            found = {"ok": False, "error": f"no answer within {seconds:g} s"}
        except (Fault, SendError, Unsupported) as problem:
            found = {"ok": False, "error": str(problem)}
        except Exception as problem:  # noqa: BLE001 - the others are still to be shown
            account.log.failure("while probing")
            found = {"ok": False, "error": f"the probe failed: {type(problem).__name__}"}
        return {**found, "elapsedMs": max(0, self.now_ms() - began)}

    # Logging in and out

    async def login_start(self, _: Caller, params: wire.WebLoginStartParams) -> wire.WebLogin:
        """Begin a login with a QR code or a code to type in."""
        account = self._login_account(given(params.channel, None), given(params.account_id, None))
        step = await self._login(
            account,
            account.adapter.login_start(
                force=given(params.force, False), phone=given(params.phone, None)
            ),
        )
        return _login(step)

    async def login_wait(self, _: Caller, params: wire.WebLoginWaitParams) -> wire.WebLogin:
        """Wait until somebody has logged in, or for the next QR code."""
        account = self._login_account(given(params.channel, None), given(params.account_id, None))
        seconds = given(params.timeout_ms, int(LOGIN_SECONDS * 1000)) / 1000
        knows = given(params.current_qr_data_url, None)
        shown = account.shown_qr if knows and knows == _picture(account.shown_qr) else None
        step = await self._login(
            account, account.adapter.login_wait(min(seconds, MAX_LOGIN_SECONDS), shown)
        )
        return _login(step)

    async def _login(self, account: Account, work: Any) -> LoginStep:
        try:
            step: LoginStep = await work
        except (LoginProblem, Fault, Unsupported) as problem:
            raise unavailable(str(problem)) from None
        account.shown_qr = step.qr
        if step.connected:
            account.restart()
        return step

    def _login_account(self, channel: str | None, name: str | None) -> Account:
        able = [one for one in self.hub if one.adapter.capabilities.login]
        if channel is None and able:
            channel = next(
                (one.channel for one in able if one.channel == "whatsapp"), able[0].channel
            )
        if channel is None:
            raise invalid(
                "channel: none is configured that one logs in to; see clawgw channels add"
            )
        account = self.hub.choose(channel, name)
        if not account.adapter.capabilities.login:
            raise invalid(f"channel: {channel} has no login; it has a token in the configuration")
        return account

    async def logout(self, _: Caller, params: wire.ChannelsLogoutParams) -> wire.ChannelLoggedOut:
        """Give up a login."""
        account = self.hub.choose(params.channel, given(params.account_id, None) or None)
        try:
            cleared = await account.log_out()
        except (LoginProblem, Fault, SendError, Unsupported) as problem:
            raise invalid(str(problem)) from None
        return wire.ChannelLoggedOut(
            channel=account.channel, account_id=account.name, cleared=cleared, logged_out=True
        )

    # Strangers

    def pair_list(self, _: Caller, params: wire.ChannelPairListParams) -> wire.ChannelPairList:
        """Who waits, and who was let in."""
        channel = given(params.channel, None)
        return wire.ChannelPairList(
            pending=[stranger(row) for row in self.senders.waiting(channel)],
            approved=[stranger(row) for row in self.senders.accepted(channel)],
        )

    async def pair_approve(
        self, _: Caller, params: wire.ChannelPairDecisionParams
    ) -> wire.ChannelPairResolved:
        """Let a stranger in, and tell them."""
        row = await self.senders.approve(given(params.channel, None), params.code)
        account = self.hub.find(row.channel, row.account)
        if account is not None:
            await self._tell(account, row)
        return self._resolved(row, "approved")

    async def pair_reject(
        self, _: Caller, params: wire.ChannelPairDecisionParams
    ) -> wire.ChannelPairResolved:
        """Turn a stranger away; they are told nothing."""
        row = await self.senders.reject(given(params.channel, None), params.code)
        return self._resolved(row, "rejected")

    async def pair_remove(
        self, _: Caller, params: wire.ChannelPairRemoveParams
    ) -> wire.ChannelPairResolved:
        """Take an approval back."""
        account = given(params.account_id, None) or self._default_account(params.channel)
        row = await self.senders.remove(params.channel, account, params.sender)
        return self._resolved(row, "removed")

    async def _tell(self, account: Account, row: SenderRow) -> None:
        target = Target(channel=row.channel, account=row.account, chat=row.chat)
        message = Outbound(text="You are in. What can I do for you?")
        await self.dispatch.queue(f"welcome:{row.channel}:{row.account}:{row.sender}:"
                                  f"{row.approved_at}", target, message)  # fmt: skip

    def _resolved(self, row: SenderRow, decision: Any) -> wire.ChannelPairResolved:
        resolved = wire.ChannelPairResolved(
            channel=row.channel, account_id=row.account, sender=row.sender, name=row.name,
            decision=decision, ts=self.now_ms(),
        )  # fmt: skip
        self.events.publish("channel.pair.resolved", resolved)
        return resolved

    def _default_account(self, channel: str) -> str:
        mine = [one for one in self.hub if one.channel == channel]
        return default_of(mine).name if mine else "default"


def stranger(row: SenderRow) -> wire.ChannelStranger:
    """Somebody who wrote without being on a list."""
    return wire.ChannelStranger(
        channel=row.channel,
        account_id=row.account,
        sender=row.sender,
        name=row.name,
        ts=row.requested_at,
        code=row.code or UNSET,
        approved_at=row.approved_at or UNSET,
    )


def _addresses(params: wire.SendParams) -> list[str]:
    """Where the files are, each once."""
    urls = (given(params.media_url, ""), *given(params.media_urls, []))
    return list(dict.fromkeys(url for url in urls if url))


def _sent(request: Request, delivery: Delivery) -> wire.Sent:
    ids = list(delivery.ids)
    return wire.Sent(
        run_id=request.key,
        channel=request.target.channel,
        message_id=ids[-1] if ids else UNSET,
        message_ids=ids if len(ids) > 1 else UNSET,
        chat_id=request.target.chat,
        queued=UNSET if delivery.over else True,
    )


def _login(step: LoginStep) -> wire.WebLogin:
    return wire.WebLogin(
        message=step.message,
        connected=step.connected,
        qr_data_url=_picture(step.qr) or UNSET,
        qr=step.qr or UNSET,
        code=step.code or UNSET,
    )


def _picture(text: str | None) -> str | None:
    """A QR code as a data URL."""
    from clawgw.channels.qr import png_data_url  # not needed before somebody logs in

    return None if text is None else png_data_url(text)
