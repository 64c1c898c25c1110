"""Answers: what an agent says to somebody in a channel goes back there.

A run that came through a channel carries the place its answer goes to. While it is answered, the
person sees that somebody is typing, and where the provider can edit messages and the account is so
configured, the answer as it grows (a *draft*). When it ends, the answer is put into the outbox in
the transaction that ends the run, so that a crash leaves both or neither; it takes the draft's
place. An agent that has nothing to say says `NO_REPLY`, and nothing is sent.

Drafts and typing are shown once and without a promise: when they fail, the answer comes all the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from clawgw.agents.delivery import Wanted
from clawgw.agents.outcomes import Outcome
from clawgw.channels.account import Account
from clawgw.channels.adapter import SendError, Unsupported
from clawgw.channels.messages import Outbound, Part, Target
from clawgw.channels.outbox import part_key, put
from clawgw.protocol.errors import invalid
from clawgw.sessions.keys import SessionName
from clawgw.store import channels as table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection, Database, StoreError
from clawgw.store.runs import Run

SILENCE = "NO_REPLY"
DRAFT_CHARS = 30
TYPING_SECONDS_AT_MOST = 600
TYPING_CALL_SECONDS = 10.0
SETTLE_SECONDS = 5.0


class ReplyTo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an answer goes, as it stands with the run."""

    target: Target
    message_id: str | None = None


def route_of(connection: Connection, key: str) -> Target | None:
    """Where a session's people last wrote from."""
    found = session_table.route(connection, key)
    return None if found is None else msgspec.json.decode(found, type=Target)


_decode = msgspec.json.Decoder(ReplyTo).decode


class ChannelAnswers:
    """The `Answers` of runs that came through a channel.

    Args:
        reactor: for drafts and typing.
        account: the account of a target, None where there is none any more.
        address: the target that a client means; raises `RequestError`.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(
        self,
        reactor: Any,
        database: Database,
        account: Callable[[Target], Account | None],
        address: Callable[[Wanted], Target],
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._account = account
        self._address = address
        self._now_ms = now_ms
        self._shows: dict[str, _Show] = {}
        self._queued: dict[str, tuple[int, Target]] = {}

    def place(self, name: SessionName, wanted: Wanted) -> bytes:
        """Where an answer goes that a client wants delivered; see `Answers.place`."""
        target = None
        if wanted.to is None:
            target = self._database.read(route_of, name.key)
            if target is None or wanted.channel not in (None, target.channel):
                raise invalid("to: expected where to deliver to; nobody wrote to this session yet")
        return msgspec.json.encode(ReplyTo(target=target or self._address(wanted)))

    def begun(self, run: Run, text: Callable[[], str]) -> None:
        """Show that the answer is being written."""
        reply = _decode(run.delivery or b"{}")
        account = self._account(reply.target)
        if account is not None and account.status.running:
            show = _Show(self._reactor, self._database, account, run.run_id, reply, text)
            self._shows[run.run_id] = show
            show.start()

    async def ending(self, run: Run) -> None:
        """The agent has ended: bring what is shown to rest."""
        show = self._shows.pop(run.run_id, None)
        if show is not None:
            await show.stop()

    def write(self, connection: Connection, run: Run, text: str, outcome: Outcome) -> None:
        """Queue the answer, in the write that ends the run."""
        reply = _decode(run.delivery or b"{}")
        draft = table.take_draft(connection, run.run_id)
        answer = answer_of(text, outcome)
        if not answer:
            return
        message = Outbound(
            text=answer,
            reply_to=reply.message_id,
            draft=draft if text.strip() else None,
        )
        seq = put(connection, f"run:{run.run_id}", reply.target, message, self._now_ms())
        self._queued[run.run_id] = (seq, reply.target)

    def over(self, run: Run) -> None:
        """The answer is queued: send it."""
        queued = self._queued.pop(run.run_id, None)
        if queued is None:
            return
        seq, target = queued
        account = self._account(target)
        if account is not None:
            account.courier.take(seq, target.chat)


def answer_of(text: str, outcome: Outcome) -> str:
    """What is sent; empty for nothing."""
    text = text.strip()
    if text == SILENCE:
        text = ""
    if outcome.state in ("ok", "aborted"):
        return text
    problem = f"⚠️ I could not answer: {outcome.error or 'the run failed'}"
    return f"{text}\n\n{problem}" if text else problem


class _Show:
    """What is to be seen of one run while it goes on."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        account: Account,
        run_id: str,
        reply: ReplyTo,
        text: Callable[[], str],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._account = account
        self._run_id = run_id
        self._reply = reply
        self._text = text
        self._typing: LoopingCall | None = None
        self._drafting: Deferred[None] | None = None
        self._calm: Deferred[None] | None = None
        self._typed = 0.0
        self._over = False

    def start(self) -> None:
        """Begin to type, and to draft where that is wanted."""
        can = self._account.adapter.capabilities
        if can.typing_seconds:
            self._typing = LoopingCall(self._type)
            self._typing.clock = self._reactor
            self._typing.start(can.typing_seconds)
        if can.edits and self._account.settings.streams():
            self._drafting = Deferred.fromCoroutine(self._draft())

    async def stop(self) -> None:
        """Type and draft no more; a draft that is on its way is waited for, a little."""
        self._over = True
        if self._typing is not None and self._typing.running:
            self._typing.stop()
        if self._calm is not None:
            self._calm.cancel()
        if self._drafting is not None:
            self._drafting.addTimeout(SETTLE_SECONDS, self._reactor)
            try:
                await self._drafting
            except (TimeoutError, CancelledError):
                self.log.info("run {run}: a draft did not arrive in time", run=self._run_id)

    def _type(self) -> None:
        typing = self._typing
        assert typing is not None
        typing_for = self._account.adapter.capabilities.typing_seconds
        self._typed += typing_for
        if self._typed > TYPING_SECONDS_AT_MOST or not self._account.status.running:
            typing.stop()
            return
        done = Deferred.fromCoroutine(self._account.adapter.typing(self._reply.target))
        done.addTimeout(TYPING_CALL_SECONDS, self._reactor)
        done.addErrback(lambda failure: failure.trap(SendError, Unsupported, TimeoutError))
        done.addErrback(lambda failure: self.log.failure("while typing", failure))

    async def _draft(self) -> None:
        """Send the answer's beginning and replace it as it grows, until it is over."""
        shown = ""
        message_id: str | None = None
        pause = self._account.adapter.capabilities.edit_seconds
        while not self._over:
            text = self._text()
            if len(text) >= DRAFT_CHARS and text != shown:
                try:
                    part = self._part(text)
                    if part is None:
                        return  # it has outgrown one message
                    message_id = await self._show(message_id, part)
                except (SendError, Unsupported, StoreError) as problem:
                    self.log.info("no draft: {why}", why=str(problem))
                    return
                except CancelledError:
                    raise
                except Exception:  # noqa: BLE001 - the answer comes all the same
                    self.log.failure("while drafting")
                    return
                shown = text
            if self._over:
                return
            self._calm = deferLater(self._reactor, pause)
            try:
                await self._calm
            except CancelledError:
                return

    async def _show(self, message_id: str | None, part: Part) -> str:
        adapter, target = self._account.adapter, self._reply.target
        if message_id is not None:
            await adapter.edit(target, message_id, part)
            return message_id
        message_id = await adapter.send(target, part)
        await self._database.write(table.set_draft, self._run_id, message_id)
        return message_id

    def _part(self, text: str) -> Part | None:
        from clawgw.channels.chunks import chunks  # not needed before something is sent

        can = self._account.adapter.capabilities
        if len(text) > can.text_limit:
            return None
        cut = chunks(f"{text} …", can.format, can.text_limit)
        if len(cut) != 1:
            return None
        return Part(
            key=part_key(f"draft:{self._run_id}", 0),
            text=cut[0].text,
            styles=cut[0].styles,
            plain=cut[0].plain,
            reply_to=self._reply.message_id,
        )
