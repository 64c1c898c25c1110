"""Reception: what becomes of a message that was stored.

The policy of its account decides (`channels.policy`): it is answered, kept for later, dropped, or
its writer, a stranger, is told a code. What is answered is a command to the Gateway or a message to
the agent of its session. Marking the message and queueing what follows from it (a run, a reply) are
one transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.agents.prompts import File, Prompt
from clawgw.agents.runs import Admitted, RunManager
from clawgw.channels.account import Account
from clawgw.channels.answers import ReplyTo
from clawgw.channels.commands import HELP, Command, command_in
from clawgw.channels.envelope import context_of, plain, text_of, who
from clawgw.channels.fetching import Fetcher
from clawgw.channels.messages import Inbound, Outbound, Target
from clawgw.channels.outbox import put
from clawgw.channels.policy import Verdict, judge, may_decide
from clawgw.channels.routing import Routes
from clawgw.channels.senders import SenderBook
from clawgw.sessions.keys import SessionName
from clawgw.store import channels as channel_table
from clawgw.store import inbox as table
from clawgw.store import sessions as session_table
from clawgw.store.channels import SenderRow
from clawgw.store.database import Connection, Database
from clawgw.store.inbox import InboxRow

MOST_REFUSALS = 1000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Inbound).decode


class Commands(NamedTuple):
    """What commands do beyond this package.

    Attributes:
        reset: begins a session anew.
        status: says in a few lines what goes on in a session.
        approve: decides a question; returns what to say.
    """

    reset: Callable[[SessionName], Awaitable[Any]]
    status: Callable[[SessionName], str]
    approve: Callable[[Account, Inbound, tuple[str, ...]], Awaitable[str]]


class Reception:
    """Decides about messages; the `Incoming` of the inbox.

    Args:
        accounts: the account of a row, None where there is none any more.
        routes: which session a message belongs to.
        stranger_asked: told of a stranger who was given a code.
    """

    log = Logger()

    def __init__(
        self,
        database: Database,
        accounts: Callable[[str, str], Account | None],
        routes: Routes,
        senders: SenderBook,
        runs: RunManager,
        fetcher: Fetcher,
        commands: Commands,
        stranger_asked: Callable[[SenderRow], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self.routes = routes
        self._senders = senders
        self._runs = runs
        self._fetcher = fetcher
        self._commands = commands
        self._stranger_asked = stranger_asked
        self._now_ms = now_ms
        self._refusals: set[tuple[str, ...]] = set()

    def needs_time(self, row: InboxRow, message: Inbound) -> bool:
        """Whether there are files to fetch, or a command to obey before what comes after it."""
        files = any(not media.path and not media.problem for media in message.media)
        if not files and command_in(message.text) is None:
            return False
        account = self._accounts(row.channel, row.account)
        return account is not None and self._judge(account, message).act == "answer"

    async def prepare(self, row: InboxRow, message: Inbound) -> Inbound:
        """Fetch the files of a message."""
        return await self._fetcher.fetch(row, message)

    # Deciding

    def route(self, row: InboxRow, message: Inbound) -> Awaitable[None]:
        """Write what becomes of a message; see `Incoming.route`."""
        account = self._accounts(row.channel, row.account)
        if account is None:
            return self._settle(row, "dropped", "its account is gone")
        verdict = self._judge(account, message)
        if verdict.act == "hear":
            return self._settle(row, "heard", verdict.why)
        if verdict.act == "pair":
            return self._pair(account, row, message)
        if verdict.act == "drop":
            self._note_refusal(row, message, verdict.why)
            return self._settle(row, "dropped", verdict.why)
        agent = self.routes.agent(row.channel, row.account, message)
        if agent not in self.routes.keys.agents:
            return self._not_yet(account, row, message, agent)
        command = command_in(message.text)
        if command is not None:
            return self._obey(account, row, message, command)
        return self._ask_agent(account, row, message, verdict)

    def _judge(self, account: Account, message: Inbound) -> Verdict:
        return judge(message, account.policy, self._senders.approved(*account.id))

    def _note_refusal(self, row: InboxRow, message: Inbound, why: str) -> None:
        """Say once who is not answered where; a crowd must not fill the log."""
        refusal = (row.channel, row.account, message.chat.id, message.sender.id, why)
        if refusal in self._refusals:
            return
        if len(self._refusals) >= MOST_REFUSALS:
            self._refusals.clear()
        self._refusals.add(refusal)
        self.log.info(
            "{channel} ({account}): id {sender} in chat {chat} is not answered: {why}",
            channel=row.channel, account=row.account, sender=message.sender.id,
            chat=message.chat.id, why=why,
        )  # fmt: skip

    def _settle(self, row: InboxRow, state: str, why: str = "") -> Awaitable[Any]:
        return self._database.write(table.settle, row.seq, state, why)

    # The agent

    def _ask_agent(
        self, account: Account, row: InboxRow, message: Inbound, verdict: Verdict
    ) -> Awaitable[None]:
        name = self.routes.session(row.channel, row.account, message)
        target = _target(row, message)
        delivery = _encode(ReplyTo(target=target, message_id=_quoted(account, message)))
        run_id = run_id_of(row)
        label = account.provider.label
        limit = account.settings.history_limit

        def change(connection: Connection) -> Admitted | None:
            if not table.settle(connection, row.seq, "routed", run_id=run_id):
                return None
            heard: Sequence[bytes] = ()
            if limit:
                heard = table.take_heard(connection, row.channel, row.account, row.chat, limit)
            context = context_of(label, message, [_decode(one) for one in heard],
                                 verdict.system_prompt)  # fmt: skip
            prompt = Prompt(text_of(message), files=_files(message), context=context)
            admitted = self._runs.admit(connection, name, name.key, prompt, run_id, delivery)
            session_table.set_route(connection, name.key, row.channel, _encode(target))
            return admitted

        return self._admit(account, message, self._database.write(change))

    async def _not_yet(
        self, account: Account, row: InboxRow, message: Inbound, agent_id: str
    ) -> None:
        """The configuration has a new agent for this; no other one may answer in its place."""
        self.log.warn("agent {agent} begins with a restart of the Gateway", agent=agent_id)
        text = "My Gateway has to be restarted before I can answer here. Write again then."
        await self._reply(account, row, message, text, "dropped")

    async def _admit(
        self, account: Account, message: Inbound, written: Deferred[Admitted | None]
    ) -> None:
        admitted = await written
        if admitted is None:
            return
        self._runs.admitted(admitted)
        seen = Deferred.fromCoroutine(account.adapter.seen(message))
        seen.addErrback(self._not_seen, account)

    def _not_seen(self, failure: Any, account: Account) -> None:
        why = failure.getErrorMessage()
        self.log.info("{channel}: no read receipt: {why}", channel=account.channel, why=why)

    # Strangers

    async def _pair(self, account: Account, row: InboxRow, message: Inbound) -> None:
        stranger = SenderRow(
            row.channel, row.account, message.sender.id, plain(who(message)), message.chat.id,
            None, self._now_ms(),
        )  # fmt: skip
        asked = self._senders.ask(stranger)
        if asked is None:
            await self._settle(row, "paired", "has a code, or too many wait")
            return
        text = (
            "I do not know you yet. Give my operator this code, then write again:\n\n"
            f"{asked.code}\n\n"
            f"They let you in with: clawgw pairing approve {row.channel} {asked.code}"
        )

        def change(connection: Connection) -> None:
            channel_table.put_sender(connection, asked)

        told = False
        try:
            told = await self._reply(account, row, message, text, "paired", change)
        finally:
            if not told:
                self._senders.withdraw(asked)
        if not told:
            return
        self.log.info(
            "{channel} ({account}): {name} (id {sender}) asks to be let in",
            channel=row.channel, account=row.account, name=asked.name, sender=asked.sender,
        )  # fmt: skip
        self._stranger_asked(asked)

    # Commands

    async def _obey(
        self, account: Account, row: InboxRow, message: Inbound, command: Command
    ) -> None:
        name = self.routes.session(row.channel, row.account, message)
        approved = self._senders.approved(*account.id)
        known = may_decide(message.sender, account.policy, approved, message.chat)
        if command.name in ("new", "stop") and not known:
            text = "Only somebody my operator has listed can do that."
        elif command.name == "new":
            await self._commands.reset(name)
            text = "A new conversation. What is it about?"
        elif command.name == "stop":
            stopped = await self._runs.abort(name.key, None, "user")
            text = "Stopped." if stopped else "I was not doing anything."
        elif command.name == "status":
            text = self._commands.status(name)
        elif command.name == "whoami":
            text = f"Your id on {account.provider.label} is {message.sender.id}"
        elif command.name == "approve":
            text = await self._commands.approve(account, message, command.words)
        else:
            text = HELP
        await self._reply(account, row, message, text, "routed")

    async def _reply(
        self,
        account: Account,
        row: InboxRow,
        message: Inbound,
        text: str,
        state: str,
        also: Callable[[Connection], None] | None = None,
    ) -> bool:
        """Settle a message with a reply of our own; False: it was settled before."""
        target = _target(row, message)

        def change(connection: Connection) -> int | None:
            if not table.settle(connection, row.seq, state):
                return None
            if also is not None:
                also(connection)
            reply = Outbound(text=text, reply_to=_quoted(account, message))
            return put(connection, f"reply:{run_id_of(row)}", target, reply, self._now_ms())

        seq = await self._database.write(change)
        if seq is None:
            return False
        now = self._accounts(row.channel, row.account)  # another one, if its settings have changed
        if now is not None:
            now.courier.take(seq, target.chat)
        return True


def run_id_of(row: InboxRow) -> str:
    """The id of the run that answers a message; the same whenever it is routed."""
    text = f"{row.channel}\x00{row.account}\x00{row.message_id}"
    return f"in-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _target(row: InboxRow, message: Inbound) -> Target:
    return Target(
        channel=row.channel, account=row.account, chat=message.chat.id, thread=message.chat.thread
    )


def _quoted(account: Account, message: Inbound) -> str | None:
    """The message an answer quotes."""
    if account.settings.reply_to_mode == "off":
        return None
    return message.reply_id or message.message_id


def _files(message: Inbound) -> tuple[File, ...]:
    return tuple(
        File(name=media.name or Path(media.path).name, mime_type=media.mime_type, path=media.path)
        for media in message.media
        if media.path
    )
