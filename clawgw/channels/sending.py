"""Sending for somebody who asks: a client's `send` and `poll`, an agent's tool, an agent's answer.

What is asked for is put into the outbox under the request's idempotency key before anything is
tried, so that the same request again, also after a crash, is the same message. The asker waits for
its delivery for a while; what takes longer is `queued`, and is delivered all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from clawgw import idempotency
from clawgw.channels.account import Account
from clawgw.channels.hub import Hub
from clawgw.channels.messages import Outbound, Target
from clawgw.channels.outbox import Delivery, delivery_of, put
from clawgw.protocol.errors import invalid, unavailable
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionName
from clawgw.sessions.messages import assistant_message, new_message, one_line
from clawgw.store import idempotency as idempotency_table
from clawgw.store import messages as message_table
from clawgw.store import outbox as table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection, Database

WAIT_SECONDS = 20.0
MAX_KEY = 512


class Request(NamedTuple):
    """A message that somebody asks to send.

    Attributes:
        method, params, key: what the idempotency key stands for.
        mirror: the session whose transcript notes the message.
    """

    method: str
    params: Any
    key: str
    target: Target
    message: Outbound
    mirror: SessionName | None = None


class Dispatch:
    """Takes requests to send.

    Args:
        reactor: for waiting.
        hub: the accounts.
        book: the sessions.
    """

    def __init__(
        self,
        reactor: Any,
        database: Database,
        hub: Hub,
        book: SessionBook,
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._hub = hub
        self._book = book
        self._now_ms = now_ms

    def address(
        self, channel: str | None, account: str | None, to: str, thread: str | None
    ) -> tuple[Account, Target]:
        """The account and chat that a request means.

        Args:
            to: as people write it; `telegram:123` names the channel too.

        Raises:
            RequestError: there is no such account, or it is no address.
        """
        head, colon, rest = to.strip().partition(":")
        if colon and self._is_channel(head) and channel in (None, head.lower()):
            channel, to = head.lower(), rest
        chosen = self._hub.choose(channel, account)
        if chosen.missing is not None:
            raise unavailable(f"{chosen.channel} ({chosen.name}): {chosen.missing}")
        try:
            chat, found = chosen.adapter.address(to)
        except ValueError as problem:
            raise invalid(f"to: {problem}") from None
        if not chat:
            raise invalid("to: expected a chat")
        return chosen, Target(
            channel=chosen.channel, account=chosen.name, chat=chat, thread=thread or found
        )

    async def send(self, request: Request) -> Delivery:
        """Store a message, and wait for its delivery for a while.

        Raises:
            RequestError: the key was used for another request.
        """
        if len(request.key) > MAX_KEY:
            raise invalid(f"idempotencyKey: expected at most {MAX_KEY} characters")
        seq = await self._database.write(self._queue, request)
        if request.mirror is not None:
            self._book.changed(*request.mirror, "message")
        account = self._hub.of_target(request.target)
        if account is not None:
            over = account.courier.over(seq)
            account.courier.take(seq, request.target.chat)
            await self._at_most(WAIT_SECONDS, seq, over)
        found = self._database.read(delivery_of, seq)
        return found or Delivery("failed", (), "it is no longer known")

    async def known(self, method: str, params: Any, key: str) -> bool:
        """Whether the same was asked before; then it needs nothing but the answer.

        Raises:
            RequestError: the key was used for another request.
        """

        def look(connection: Connection) -> bool:
            call = idempotency.digest(method, params)
            found = idempotency.earlier(connection, key, method, call, self._now_ms())
            return found is not None

        return await self._database.read_in_thread(look)

    async def queue(self, key: str, target: Target, message: Outbound) -> None:
        """Send something of the Gateway's own; whoever asks does not wait for its delivery."""
        seq = await self._database.write(put, key, target, message, self._now_ms())
        account = self._hub.of_target(target)
        if account is not None:
            account.courier.take(seq, target.chat)

    def _queue(self, connection: Connection, request: Request) -> int:
        now = self._now_ms()
        key = f"send:{request.key}"
        call = idempotency.digest(request.method, request.params)
        if idempotency.earlier(connection, request.key, request.method, call, now) is not None:
            earlier = table.find(connection, key)
            if earlier is not None:
                return earlier
        table.retire(connection, key)  # of a request so old that its key counts no more
        idempotency_table.claim(connection, request.key, request.method, call, now)
        if request.mirror is not None:
            self._mirror(connection, request, request.mirror, now)
        return put(connection, key, request.target, request.message, now)

    def _mirror(
        self, connection: Connection, request: Request, name: SessionName, now: int
    ) -> None:
        """Note the message in a session, so that its agent knows of it."""
        text = request.message.text or "[a file]"
        self._book.ensure(connection, name.key, name.agent_id, now)
        note = new_message(assistant_message(text, now, stopReason="stop", model="delivery"))
        message_table.append(connection, name.key, note, one_line(text))
        session_table.update(connection, name.key, updated_at=now)

    async def _at_most(self, seconds: float, seq: int, over: Deferred[None]) -> None:
        row = self._database.read(delivery_of, seq)
        if row is None or row.over:
            return
        enough: Deferred[Any] = deferLater(self._reactor, seconds)
        enough.addErrback(lambda _: None)
        await DeferredList([over, enough], fireOnOneCallback=True)
        enough.cancel()

    def _is_channel(self, text: str) -> bool:
        return any(account.channel == text.lower() for account in self._hub)
