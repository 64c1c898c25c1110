"""Where everybody comes who wants to run something: the policy first, then a person.

What the policy allows or denies is answered at once, and nobody is asked. Everything else becomes
a question in the book. The policy is this host's: a command for a node (`host: node`) is always
asked about, because the node has read its own policy before it asked, and *always* is written
there, not here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec
from twisted.logger import Logger

from clawgw.approvals import policy, shell
from clawgw.approvals.book import NOBODY, ApprovalBook, Asker
from clawgw.approvals.file import PolicyStore, PolicyUnusable, unusable
from clawgw.approvals.policy import Action, Verdict
from clawgw.programs import are_harmless
from clawgw.protocol.approvals import Decision, ExecRequest, PolicyFile
from clawgw.protocol.base import given
from clawgw.store.approvals import Approval

NODE_HOST = "node"
ANYTHING: tuple[Decision, ...] = ("allow-once", "allow-always", "deny")


class ApprovalDesk:
    """Asks the policy, then people.

    Args:
        store: the policy.
        default_agent: whose rules hold for an asker that names no agent.
        search_path: where programs are looked for, unless the asker says otherwise.
        now_ms: the time, in milliseconds since the epoch.
    """

    log = Logger()

    def __init__(
        self,
        store: PolicyStore,
        default_agent: str,
        search_path: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._default_agent = default_agent
        self._search_path = search_path
        self._now_ms = now_ms
        self.book: ApprovalBook

    async def submit(
        self,
        request: ExecRequest,
        timeout_ms: int,
        *,
        asker: Asker = NOBODY,
        approval_id: str | None = None,
        is_command: bool = True,
        search_path: str | None = None,
    ) -> Approval:
        """Ask whether something may run.

        Args:
            request: what; the decisions it can have are added here.
            timeout_ms: how long a person has.
            asker: who is asking, for those who look it up later.
            approval_id: the asker's own id, by which a question asked again is the same one.
            is_command: whether the text is a command line, and not the title of something else.
            search_path: the asker's `PATH`.

        Returns:
            The question: decided, or standing; then see `ApprovalBook.wait`.

        Raises:
            RequestError: see `ApprovalBook.ask`.
        """
        known = self.book.find(approval_id) if approval_id else None
        if known is not None:
            # The answer it has already, not what the policy would say of it by now.
            request = self._with_decisions(request, known.request.allowed_decisions)
            return await self.book.ask(request, timeout_ms, asker, approval_id)
        verdict = await self._verdict(request, is_command, search_path or self._search_path)
        choices = given(request.allowed_decisions, list(ANYTHING))
        # Whoever is asked each time cannot allow for ever.
        if verdict.ask == "always" or not (request.host == NODE_HOST or _is_as_usual(request)):
            choices = [choice for choice in choices if choice != "allow-always"]
        request = self._with_decisions(request, choices)
        if verdict.answer == "ask":
            return await self.book.ask(request, timeout_ms, asker, approval_id)
        decision: Decision = "allow-once" if verdict.answer == "allow" else "deny"
        return await self.book.settle(request, decision, "policy", asker, approval_id)

    async def remember(self, request: ExecRequest) -> None:
        """Write into the policy that an agent may always run this.

        Raises:
            RequestError: that failed.
        """
        if request.host == NODE_HOST:
            return
        agent, now = self._agent_of(request), self._now_ms()
        entry_id = str(uuid.uuid4())

        def change(file: PolicyFile) -> PolicyFile:
            return policy.always_allow(file, agent, request.command, entry_id, now)

        try:
            await self._store.amend(change)
        except PolicyUnusable as problem:
            raise unusable(problem) from None

    async def _verdict(self, request: ExecRequest, is_command: bool, search_path: str) -> Verdict:
        if request.host == NODE_HOST:
            return Verdict("ask", "always" if request.ask == "always" else "on-miss")
        agent = self._agent_of(request)
        try:
            rules = (await self._store.read()).file
        except PolicyUnusable as problem:
            self.log.warn("everything is asked about: {why}", why=str(problem))
            return Verdict("ask", "always")
        names = shell.programs(request.command) if is_command else None
        paths = await self._store.resolve(names, request.cwd, search_path)
        action = Action(request.command, paths, _is_as_usual(request))
        verdict = policy.decide(
            rules, agent, action, request.security, request.ask, home=self._store.home
        )
        if verdict.hits:
            await self._note(agent, verdict, action)
        return verdict

    async def _note(self, agent: str, verdict: Verdict, action: Action) -> None:
        """Say in the policy that its entries were used. A disk that is full forbids nothing."""
        now = self._now_ms()
        hits = verdict.hits
        home = self._store.home

        def change(file: PolicyFile) -> PolicyFile:
            return policy.used(file, agent, hits, action, now, home)

        try:
            await self._store.amend(change)
        except PolicyUnusable as problem:
            self.log.warn("the use of an entry could not be noted: {why}", why=str(problem))

    def _agent_of(self, request: ExecRequest) -> str:
        return request.agent_id or self._default_agent

    @staticmethod
    def _with_decisions(request: ExecRequest, choices: object) -> ExecRequest:
        return msgspec.structs.replace(request, allowed_decisions=choices)


def _is_as_usual(request: ExecRequest) -> bool:
    return are_harmless(given(request.env_keys, []))
