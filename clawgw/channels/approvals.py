"""Approvals in chats: an agent's question, put to those who may decide it, where they chat.

Off unless an account says `execApprovals.enabled` and lists `approvers`. Then a question that comes
up while a message of that account is answered is sent to each approver in a direct message, with
buttons where the provider has them, and can be decided there: by a button, or by
`/approve <id> allow-once|allow-always|deny`. Only those listed can; that somebody may talk to the
agent does not mean that they may let it run things on this host. The first decision counts, from
wherever it comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from clawgw.approvals.book import ApprovalBook, Resolver
from clawgw.channels.account import Account
from clawgw.channels.answers import ReplyTo
from clawgw.channels.envelope import plain, who
from clawgw.channels.hub import Hub
from clawgw.channels.messages import Button, Inbound, Outbound, Press, Sender, Target
from clawgw.channels.policy import listed
from clawgw.channels.settings import entries
from clawgw.protocol.base import given
from clawgw.protocol.errors import RequestError
from clawgw.store import runs as run_table
from clawgw.store.approvals import Approval
from clawgw.store.database import Database

PREFIX = "approve"
MAX_COMMAND = 1500
MAX_DATA = 64
_LABELS = {"allow-once": "Allow once", "allow-always": "Always allow", "deny": "Deny"}
_STYLES: dict[str, Any] = {"allow-once": "primary", "deny": "danger"}
_SHORT = {"once": "allow-once", "allow": "allow-once", "always": "allow-always", "no": "deny"}

Queue = Callable[[str, Target, Outbound], Awaitable[None]]
"""Queues a message under a key."""


class ChatApprovals:
    """Puts questions to chats, and takes decisions from there."""

    log = Logger()

    def __init__(self, database: Database, hub: Hub, book: ApprovalBook, queue: Queue) -> None:
        self._database = database
        self._hub = hub
        self._book = book
        self._queue = queue

    def can_be_asked(self) -> bool:
        """Whether there is an account whose approvers could be reached now."""
        return any(
            account.settings.exec_approvals.enabled
            and account.settings.exec_approvals.approvers
            and account.status.connected
            for account in self._hub
        )

    def asked(self, approval: Approval) -> None:
        """A question has come up."""
        account = self._account_of(approval)
        if account is None:
            return
        work = Deferred.fromCoroutine(self._ask(account, approval))
        work.addErrback(lambda failure: self.log.failure("while asking in a chat", failure))

    async def _ask(self, account: Account, approval: Approval) -> None:
        decisions: list[str] = [*given(approval.request.allowed_decisions, [])] or list(_LABELS)
        buttons = tuple(
            Button(
                text=_LABELS[decision],
                data=f"{PREFIX}:{approval.id}:{decision}",
                style=_STYLES.get(decision, ""),
            )
            for decision in decisions
        )
        fits = all(len(button.data.encode()) <= MAX_DATA for button in buttons)
        has_buttons = fits and account.adapter.capabilities.buttons
        message = Outbound(
            text=_question(approval, decisions, has_buttons=has_buttons),
            buttons=(buttons,) if has_buttons else (),
        )
        for approver in account.settings.exec_approvals.approvers:
            try:
                chat, thread = account.adapter.address(str(approver))
            except ValueError as problem:
                account.log.warn(
                    "execApprovals.approvers: {who} cannot be written to: {why}",
                    who=str(approver), why=str(problem),
                )  # fmt: skip
                continue
            target = Target(channel=account.channel, account=account.name, chat=chat, thread=thread)
            await self._queue(f"approval:{approval.id}:{approver}", target, message)

    async def pressed(self, account: Account, press: Press) -> str:
        """A button was pressed; returns what to show."""
        head, _, rest = press.data.partition(":")
        approval_id, _, decision = rest.rpartition(":")
        if head != PREFIX or not approval_id:
            return "That button means nothing any more."
        return await self._decide(account, press.sender, approval_id, decision)

    async def command(self, account: Account, message: Inbound, words: tuple[str, ...]) -> str:
        """`/approve` was written; returns what to answer."""
        if len(words) != 2:
            return "Write: /approve <id> allow-once, allow-always or deny"
        approval_id, decision = words
        decision = _SHORT.get(decision.lower(), decision.lower())
        return await self._decide(account, message.sender, approval_id, decision, who(message))

    async def _decide(
        self,
        account: Account,
        sender: Sender,
        approval_id: str,
        decision: str,
        name: str | None = None,
    ) -> str:
        settings = account.settings.exec_approvals
        if not settings.enabled or not listed(sender, entries(settings.approvers)):
            self.log.warn(
                "{channel} ({account}): id {sender} tried to decide an approval",
                channel=account.channel, account=account.name, sender=sender.id,
            )  # fmt: skip
            return "Only an approver that my operator has listed can decide that."
        shown = name or plain(sender.name) or sender.id
        resolver = Resolver(f"{shown} on {account.provider.label}")
        try:
            decided = await self._book.resolve(approval_id, decision, resolver)
        except RequestError as problem:
            return f"That was not decided: {problem.message}"
        return {"allow-once": "Allowed, once.", "allow-always": "Allowed from now on."}.get(
            decided.decision or "", "Denied."
        )

    def _account_of(self, approval: Approval) -> Account | None:
        """The account through which the message came that is being answered."""
        run_id = given(approval.request.run_id, None)
        run = None if run_id is None else self._database.read(run_table.get, run_id)
        if run is None or run.delivery is None:
            return None
        target = msgspec.json.decode(run.delivery, type=ReplyTo).target
        account = self._hub.of_target(target)
        if account is None or not account.settings.exec_approvals.enabled:
            return None
        return account


def _question(approval: Approval, decisions: Any, *, has_buttons: bool) -> str:
    request = approval.request
    fence = "````"
    where = f" in `{plain(request.cwd, 300)}`" if request.cwd else ""
    lines = [
        f"**May the agent {plain(request.agent_id or 'main')} run this?**{where}",
        f"{fence}\n{request.command[:MAX_COMMAND].replace(fence, '```')}\n{fence}",
    ]
    if len(request.command) > MAX_COMMAND:
        lines.append("It is longer than can be shown here; look at it in WebChat before you allow.")
    if not has_buttons:
        lines.append(f"Answer with: /approve {approval.id} {' or '.join(decisions)}")
    return "\n\n".join(lines)
