"""Runs: a message is accepted, waits its turn, is answered, and is over exactly once.

*Accepted* means: in one transaction the message is in the transcript, the run is queued and the
idempotency key is taken. Only then is the client told; while the store cannot write (a full disk),
nothing is accepted. *Its turn*: one run at a time per session, in the order they were accepted; a
session is busy until the agent has ended its turn. What happens then is in `answering`.

That a run has begun is written too. So after a crash, queued runs go on, and a run that had begun
ends with an error that says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from clawgw import idempotency
from clawgw.agents.acp import AcpAgent
from clawgw.agents.answering import Answering, Task
from clawgw.agents.delivery import Wanted
from clawgw.agents.outcomes import Outcome
from clawgw.agents.prompts import Prompt
from clawgw.events import EventSink
from clawgw.protocol import agents as wire
from clawgw.protocol.chat import InFlightRun
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionName
from clawgw.sessions.messages import TITLE_CHARS, new_message, one_line, user_message
from clawgw.store import idempotency as idempotency_table
from clawgw.store import messages as message_table
from clawgw.store import runs as table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection, Database
from clawgw.store.runs import Run

MAX_RUN_ID = 512
RESTARTED = "the Gateway was restarted while this was being answered"


class Admitted(NamedTuple):
    """A message that was taken in, inside a write."""

    run: Run
    is_new: bool
    made_session: bool


class RunManager:
    """All runs.

    Args:
        reactor: for time limits.
        database: where runs are.
        book: the sessions they belong to.
        agents: who does them, by agent id.
        events: where they are watched.
        timeout_seconds: how long a run may take.
        now_ms: the time, in milliseconds since the epoch.

    Attributes:
        delivery: where answers go beside the transcript.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        book: SessionBook,
        agents: Mapping[str, AcpAgent],
        events: EventSink,
        timeout_seconds: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._agents = agents
        self._now_ms = now_ms
        self._tasks: dict[str, Task] = {}  # those that wait and those that go on, by run
        self._queues: dict[str, deque[Task]] = {}
        self._busy: set[str] = set()  # sessions in which a run, or the end of its turn, goes on
        self._stopping = False
        self._answering = Answering(
            reactor, database, book, events, timeout_seconds, now_ms, self._forget
        )
        self.book = book
        self.delivery = self._answering.delivery

    # State

    def active_sessions(self) -> Collection[str]:
        """The keys of sessions in which a run is going on."""
        return self._answering.going_on.keys()

    def counts(self) -> tuple[int, int]:
        """How many runs are going on, and how many wait."""
        going_on = len(self._answering.going_on)
        return going_on, len(self._tasks) - going_on

    def in_flight(self, session_key: str) -> InFlightRun | None:
        """What a client that comes late needs to know of the run going on in a session."""
        task = self._answering.going_on.get(session_key)
        if task is None or task.stream is None or task.concluded.called:
            return None
        return InFlightRun(
            run_id=task.run.run_id,
            text=task.text,
            started_at=task.started_at or task.run.accepted_at,
        )

    def asking(self, agent_id: str, agent_session: str) -> tuple[Run, Deferred[Run]] | None:
        """The run in which an agent asks for something, and a Deferred for its end.

        Args:
            agent_session: the agent's own id for the session.
        """
        for task in self._answering.going_on.values():
            asker = (task.run.agent_id, task.agent_session)
            if asker == (agent_id, agent_session) and not task.concluded.called:
                return task.run, task.when_over()
        return None

    # Accepting

    async def accept(
        self, method: str, params: Any, name: SessionName, requested_key: str, prompt: Prompt,
        run_id: str, delivery: bytes | None = None,
    ) -> Run:  # fmt: skip
        """Take a message in; returns the run that answers it, an earlier one for an equal call.

        Args:
            run_id: the idempotency key.
            delivery: where the answer goes beside the transcript, see `Answers.place`.

        Raises:
            RequestError: the key was used for something else.
        """
        self.check_open()
        if len(run_id) > MAX_RUN_ID:  # it is in every event of the run
            raise invalid(f"idempotencyKey: expected at most {MAX_RUN_ID} characters")

        # All of it on the writer's thread: a message may have megabytes of attachments.
        def change(connection: Connection) -> Admitted:
            now = self._now_ms()
            call = idempotency.digest(method, params)
            claim = idempotency.earlier(connection, run_id, method, call, now)
            old = table.get(connection, run_id)
            if old is not None:
                if claim is None:
                    raise idempotency.reused()
                return Admitted(old, is_new=False, made_session=False)
            admitted = self.admit(connection, name, requested_key, prompt, run_id, delivery)
            idempotency_table.claim(connection, run_id, method, call, now)
            return admitted

        return self.admitted(await self._database.write(change))

    def check_open(self) -> None:
        """Make sure that messages are taken in.

        Raises:
            RequestError: the Gateway is stopping.
        """
        if self._stopping:
            raise unavailable("the Gateway is shutting down", retryable=True)

    def admit(
        self, connection: Connection, name: SessionName, requested_key: str, prompt: Prompt,
        run_id: str, delivery: bytes | None = None,
    ) -> Admitted:  # fmt: skip
        """Inside a write: put a message into its session and queue the run that answers it.

        Once that is committed, `admitted` begins the run.
        """
        now = self._now_ms()
        session = session_table.get(connection, name.key)
        existed = session is not None
        if session is None:
            session = self.book.ensure(connection, name.key, name.agent_id, now)
        files = [file.name for file in prompt.files]
        message = new_message(user_message(prompt.text, now, run_id, files), run_id)
        message_table.append(connection, name.key, message, one_line(prompt.text))
        columns: dict[str, Any] = {"interacted_at": now}
        if session.title is None and prompt.text:
            columns["title"] = one_line(prompt.text, TITLE_CHARS)
        session_table.update(connection, name.key, **columns)
        run = Run(
            run_id,
            name.key,
            name.agent_id,
            requested_key,
            "queued",
            now,
            prompt=msgspec.json.encode(prompt),
            delivery=delivery,
        )
        table.insert(connection, run)
        return Admitted(run._replace(prompt=None), is_new=True, made_session=not existed)

    def admitted(self, admitted: Admitted) -> Run:
        """A message that was taken in is on the disk: tell everybody, and take its turn."""
        run = admitted.run
        if admitted.made_session:
            self.book.created(run.agent_id)
        if admitted.is_new:
            self.book.changed(run.session_key, run.agent_id, "message")
            self._enqueue(Task(run))
        return run

    def last_place(self, name: SessionName) -> bytes | None:
        """The `delivery` to where the session's people last wrote from, if they did."""
        try:
            return self.delivery.place(name, Wanted())
        except RequestError:
            return None

    def recover(self) -> Deferred[None]:
        """After a start: end the runs a crash interrupted, go on with those that waited."""
        return Deferred.fromCoroutine(self._recover())

    async def _recover(self) -> None:
        dead = []
        for run in self._database.read(table.unfinished):
            if run.run_id in self._tasks:
                continue
            task = Task(run)
            if run.agent_id not in self._agents:
                dead.append((task, f"there is no agent {run.agent_id!r} any more"))
            elif run.state == "running":
                dead.append((task, RESTARTED))
            else:
                self._enqueue(task)
                continue
            self._tasks[run.run_id] = task  # whoever asks for it before it is over has to wait
        for task, error in dead:
            await self._answering.end_dead(task, error)

    # Waiting for the end

    async def wait(self, run_id: str, timeout_ms: int | None) -> Run | None:
        """The run, once it is over or the time is up; None if there is no such run."""
        task = self._tasks.get(run_id)
        if task is None:
            return self._database.read(table.get, run_id)
        over = task.when_over()
        if timeout_ms is None:
            return await over
        timer = self._reactor.callLater(
            timeout_ms / 1000, lambda: None if over.called else over.callback(task.run)
        )
        run = await over
        if timer.active():
            timer.cancel()
        return run

    async def final(self, run_id: str) -> wire.AgentFinal:
        """The second answer of `agent`.

        Raises:
            RequestError: the run ended with an error; the payload says so too.
        """
        run = await self.wait(run_id, None)
        if run is None:
            raise unavailable("the run is no longer known")
        result = (
            UNSET if run.result is None else msgspec.json.decode(run.result, type=wire.RunResult)
        )
        if run.state in ("ok", "aborted"):
            summary = "completed" if run.state == "ok" else "aborted"
            return wire.AgentFinal(run_id=run_id, status="ok", summary=summary, result=result)
        status: Literal["error", "timeout"] = "timeout" if run.state == "timeout" else "error"
        message = run.error or "the run failed"
        raise RequestError(
            "AGENT_TIMEOUT" if run.state == "timeout" else "UNAVAILABLE",
            message,
            payload=wire.AgentFinal(run_id=run_id, status=status, summary=message, result=result),
        )

    # Stopping

    async def abort(self, session_key: str, run_id: str | None, reason: str = "rpc") -> list[str]:
        """Stop one run of a session, or all of them; returns the ids of those stopped."""
        tasks = [
            task
            for task in list(self._tasks.values())
            if task.run.session_key == session_key and run_id in (None, task.run.run_id)
        ]
        ended = []
        for task in tasks:
            over = task.when_over()
            if task.conclude(Outcome("aborted", stop_reason=reason)):
                ended.append((task.run.run_id, over))
            if task in self._queues.get(session_key, ()):
                self._queues[session_key].remove(task)
                self._drive(self._answering.end(task, await task.concluded))
        await DeferredList([over for _, over in ended])
        return [name for name, _ in ended]

    def stop(self) -> None:
        """Begin no more runs; those that wait go on after the next start."""
        self._stopping = self._answering.stopping = True
        self._queues.clear()

    def settled(self) -> Deferred[Any]:
        """Fires when every run that is going on is over."""
        return DeferredList([task.when_over() for task in self._answering.going_on.values()])

    # Taking turns

    def _enqueue(self, task: Task) -> None:
        self._tasks[task.run.run_id] = task
        if self._stopping:
            return
        key = task.run.session_key
        self._queues.setdefault(key, deque()).append(task)
        if key not in self._busy:
            self._next(key)

    def _next(self, key: str) -> None:
        queue = self._queues.get(key)
        if not queue:
            self._queues.pop(key, None)
            return
        self._busy.add(key)
        self._drive(self._perform(queue.popleft()))

    async def _perform(self, task: Task) -> None:
        key, agent = task.run.session_key, self._agents[task.run.agent_id]
        agent.hold()
        try:
            await self._answering.answer(task, agent)
        finally:
            agent.release()
            self._busy.discard(key)
            self._next(key)

    def _drive(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self.log.failure("in a run", failure)
        )

    def _forget(self, task: Task) -> None:
        self._tasks.pop(task.run.run_id, None)
