"""Runs: a message is accepted, waits its turn, is answered, and is over exactly once.

*Accepted* means: in one transaction the message is in the transcript, the run is queued and the
idempotency key is taken. Only then is the client told. *Its turn*: one run at a time per session,
in the order they were accepted. *Begun* is written before the agent is asked; a run that was begun
is never begun again, because nobody knows what the agent has done already. *Over* is written,
with the answer, before anybody hears of the end.

So after a crash, queued runs go on, and a run that had begun ends with an error that says so.
While the store cannot write (a full disk), nothing is accepted, and what was accepted waits: a run
begins, and is over, when that can be written.

A run that is stopped or takes too long is over at once for those who watch. The session stays busy
until the agent has ended its turn too; an agent that does not is killed after a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from clawgw import idempotency
from clawgw.agents.acp import AcpAgent, AgentUnavailable
from clawgw.agents.delivery import Answers, Wanted
from clawgw.agents.outcomes import (
    SESSION_STATUS,
    Outcome,
    failure_message,
    outcome_of,
    result_of,
    transcript_of,
)
from clawgw.agents.prompts import Prompt, blocks, has_paths, hints, with_files_read
from clawgw.agents.stream import RunNames, RunStream
from clawgw.events import EventSink
from clawgw.protocol import agents as wire
from clawgw.protocol.chat import InFlightRun
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionName
from clawgw.sessions.messages import (
    TITLE_CHARS,
    assistant_message,
    new_message,
    one_line,
    text_of,
    user_message,
)
from clawgw.store import idempotency as idempotency_table
from clawgw.store import messages as message_table
from clawgw.store import runs as table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection, Database, StoreError
from clawgw.store.runs import Run

T = TypeVar("T")

DRAIN_SECONDS = 10.0
MAX_RUN_ID = 512
WRITE_AGAIN_SECONDS = 2.0
RESTARTED = "the Gateway was restarted while this was being answered"


class Admitted(NamedTuple):
    """A message that was taken in, inside a write."""

    run: Run
    is_new: bool
    made_session: bool


class _Task:
    """A run in memory: waiting or going on."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.concluded: Deferred[Outcome] = Deferred()
        self.over: list[Deferred[Run]] = []
        self.stream: RunStream | None = None
        self.agent_session: str | None = None
        self.started_at: int | None = None
        self._decided = False

    def conclude(self, outcome: Outcome) -> bool:
        """Decide how the run ends; the first decision counts."""
        if self._decided:
            return False
        self._decided = True
        if self.stream is not None:
            self.stream.close()
        self.concluded.callback(outcome)
        return True


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
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        agents: Mapping[str, AcpAgent],
        events: EventSink,
        timeout_seconds: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._agents = agents
        self._events = events
        self._timeout_seconds = timeout_seconds
        self._now_ms = now_ms
        self._tasks: dict[str, _Task] = {}
        self._queues: dict[str, deque[_Task]] = {}
        self._active: dict[str, _Task] = {}  # by session; also while an agent ends its turn
        self._going_on: set[str] = set()  # sessions whose run is not over
        self._stopping = False
        self.book: SessionBook
        self.answers: Answers | None = None

    # State

    def active_sessions(self) -> Collection[str]:
        """The keys of sessions in which a run is going on."""
        return self._going_on

    def counts(self) -> tuple[int, int]:
        """How many runs are going on, and how many wait."""
        return len(self._going_on), len(self._tasks) - len(self._going_on)

    def in_flight(self, session_key: str) -> InFlightRun | None:
        """What a client that comes late needs to know of the run going on in a session."""
        task = self._active.get(session_key)
        if task is None or task.stream is None or task.concluded.called:
            return None
        return InFlightRun(
            run_id=task.run.run_id,
            text=task.stream.text,
            started_at=task.started_at or task.run.accepted_at,
        )

    def asking(self, agent_id: str, agent_session: str) -> tuple[Run, Deferred[Run]] | None:
        """The run in which an agent asks for something, and a Deferred for its end.

        Args:
            agent_session: the agent's own id for the session.
        """
        for task in self._active.values():
            asker = (task.run.agent_id, task.agent_session)
            if asker == (agent_id, agent_session) and not task.concluded.called:
                over: Deferred[Run] = Deferred()
                task.over.append(over)
                return task.run, over
        return None

    # Accepting

    async def accept(
        self, method: str, params: Any, name: SessionName, requested_key: str, prompt: Prompt,
        run_id: str, delivery: bytes | None = None,
    ) -> Run:  # fmt: skip
        """Take a message in; returns the run that answers it, an earlier one for an equal call.

        Args:
            run_id: the idempotency key.
            delivery: where the answer goes beside the transcript, see `answers`.

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
            self._enqueue(_Task(run))
        return run

    def last_place(self, name: SessionName) -> bytes | None:
        """The `delivery` to where the session's people last wrote from, if they did."""
        try:
            return None if self.answers is None else self.answers.place(name, Wanted())
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
            task = _Task(run)
            if run.agent_id not in self._agents:
                dead.append((task, f"there is no agent {run.agent_id!r} any more"))
            elif run.state == "running":
                dead.append((task, RESTARTED))
            else:
                self._enqueue(task)
                continue
            self._tasks[run.run_id] = task  # whoever asks for it before it is over has to wait
        for task, error in dead:
            await self._end_dead(task, error)

    async def _end_dead(self, task: _Task, error: str) -> None:
        now = self._now_ms()
        run = task.run
        note = new_message(failure_message(error, now), run.run_id)

        def change(connection: Connection) -> None:
            if session_table.get(connection, run.session_key) is not None:
                message_table.append(connection, run.session_key, note, one_line(error))
                session_table.update(connection, run.session_key, status="failed")
            table.end(connection, run.run_id, "error", now, error)
            self._write_answer(connection, run, "", Outcome("error", "error", error))

        await self._write(change)
        task.run = run._replace(state="error", ended_at=now, error=error, prompt=None)
        self._over(task)
        self.log.info("run {run}: {error}", run=run.run_id, error=error)

    # Waiting for the end

    async def wait(self, run_id: str, timeout_ms: int | None) -> Run | None:
        """The run, once it is over or the time is up; None if there is no such run."""
        task = self._tasks.get(run_id)
        if task is None:
            return self._database.read(table.get, run_id)
        over: Deferred[Run] = Deferred()
        task.over.append(over)
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
            over: Deferred[Run] = Deferred()
            task.over.append(over)
            if task.conclude(Outcome("aborted", stop_reason=reason)):
                ended.append((task.run.run_id, over))
            if task in self._queues.get(session_key, ()):
                self._queues[session_key].remove(task)
                self._drive(self._finish(task, await task.concluded))
        await DeferredList([over for _, over in ended])
        return [name for name, _ in ended]

    def stop(self) -> None:
        """Begin no more runs; those that wait go on after the next start."""
        self._stopping = True
        self._queues.clear()

    def settled(self) -> Deferred[Any]:
        """Fires when every run that is going on is over."""
        waiting = []
        for task in self._active.values():
            over: Deferred[Run] = Deferred()
            task.over.append(over)
            waiting.append(over)
        return DeferredList(waiting)

    # Doing

    def _enqueue(self, task: _Task) -> None:
        self._tasks[task.run.run_id] = task
        if self._stopping:
            return
        key = task.run.session_key
        self._queues.setdefault(key, deque()).append(task)
        if key not in self._active:
            self._next(key)

    def _next(self, key: str) -> None:
        queue = self._queues.get(key)
        if not queue:
            self._queues.pop(key, None)
            return
        task = queue.popleft()
        self._active[key] = task
        self._going_on.add(key)
        self._drive(self._perform(task))

    def _drive(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self.log.failure("in a run", failure)
        )

    async def _perform(self, task: _Task) -> None:
        agent = self._agents[task.run.agent_id]
        agent.hold()
        try:
            await self._answer(task, agent)
        finally:
            agent.release()
            del self._active[task.run.session_key]
            self._next(task.run.session_key)

    async def _answer(self, task: _Task, agent: AcpAgent) -> None:
        try:
            prompt = await self._begin(task)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run must end
            self.log.failure("run {run}: could not begin", run=task.run.run_id)
            task.conclude(
                Outcome("error", error=f"the run could not begin: {type(problem).__name__}")
            )
            await self._finish(task, await task.concluded)
            return
        timer = self._limit(task, prompt)
        turn = Deferred.fromCoroutine(self._turn(task, agent, prompt))
        turn.addCallback(task.conclude)
        outcome = await task.concluded
        if timer is not None and timer.active():
            timer.cancel()
        try:
            await self._finish(task, outcome)
        finally:
            if not turn.called:
                await self._drain(task, agent, turn)

    async def _begin(self, task: _Task) -> Prompt:
        run = task.run
        task.started_at = self._now_ms()

        def change(connection: Connection) -> tuple[Run, session_table.Session]:
            table.start(connection, run.run_id, self._now_ms())
            session_table.update(connection, run.session_key, last_run_id=run.run_id)
            stored = table.get(connection, run.run_id)
            session = session_table.get(connection, run.session_key)
            if stored is None or session is None:
                raise LookupError("the session is gone")
            return stored, session

        stored, session = await self._write(change)
        prompt = msgspec.json.decode(stored.prompt or b"{}", type=Prompt)
        names = RunNames(
            run.run_id, run.session_key, run.requested_key, session.session_id, run.agent_id
        )
        task.stream = RunStream(self._reactor, self._events, names, self._now_ms)
        task.stream.started(task.started_at)
        if self.answers is not None and run.delivery is not None:
            stream = task.stream
            self.answers.begun(run, lambda: stream.text)
        self.book.changed(run.session_key, run.agent_id, "run")
        if prompt.model is None and session.settings.get("model"):
            prompt = msgspec.structs.replace(prompt, model=session.settings["model"])
        return prompt

    def _limit(self, task: _Task, prompt: Prompt) -> Any:
        seconds = self._timeout_seconds
        if prompt.timeout_ms is not None:
            seconds = prompt.timeout_ms / 1000
        if seconds <= 0:
            return None
        error = f"the agent did not finish within {seconds:g} s"
        return self._reactor.callLater(seconds, task.conclude, Outcome("timeout", "timeout", error))

    async def _turn(self, task: _Task, agent: AcpAgent, prompt: Prompt) -> Outcome:
        """Ask the agent. Never raises: what goes wrong is an outcome."""
        try:
            task.agent_session = await self._open(task, agent)
            if has_paths(prompt):
                prompt = await deferToThreadPool(
                    self._reactor, self._reactor.getThreadPool(),
                    with_files_read, prompt, agent.capabilities,
                )  # fmt: skip
            if task.concluded.called:
                return Outcome("aborted")
            assert task.stream is not None
            result = await agent.prompt(
                task.agent_session,
                blocks(prompt, agent.capabilities),
                hints(prompt),
                task.stream.update,
            )
        except AgentUnavailable as problem:
            return Outcome("error", "error", str(problem))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run must end
            self.log.failure("run {run}: failed", run=task.run.run_id)
            return Outcome("error", "error", f"the run failed: {type(problem).__name__}")
        return outcome_of(result)

    async def _open(self, task: _Task, agent: AcpAgent) -> str:
        session = self._database.read(session_table.get, task.run.session_key)
        if session is None:
            raise AgentUnavailable("the session was deleted")
        opened = await agent.open_session(session.session_id, session.agent_session)
        if opened != session.agent_session:
            await self._database.write(session_table.update, session.key, agent_session=opened)
        return opened

    async def _drain(self, task: _Task, agent: AcpAgent, turn: Deferred[Any]) -> None:
        """A run is over but the agent's turn is not: ask it to end, then make it."""
        if task.agent_session is not None:
            agent.cancel(task.agent_session)
        killer = self._reactor.callLater(
            DRAIN_SECONDS, agent.kill, "it did not end a turn that was cancelled"
        )
        await turn
        if killer.active():
            killer.cancel()

    async def _finish(self, task: _Task, outcome: Outcome) -> None:
        """Write how a run ended, then tell everybody."""
        run = task.run
        if self.answers is not None and run.delivery is not None:
            await self.answers.ending(run)
        now = self._now_ms()
        model = self.book.model_info(run.session_key, run.agent_id)
        messages = transcript_of(task.stream, outcome, model, now)
        result = msgspec.json.encode(self._result(task, outcome, now))
        previews = [one_line(text_of(body)) for body in messages]
        answer = task.stream.text if task.stream else ""

        def change(connection: Connection) -> None:
            table.end(connection, run.run_id, outcome.state, now, outcome.error, result)
            self._write_answer(connection, run, answer, outcome)
            if session_table.get(connection, run.session_key) is None:
                return
            for body, preview in zip(messages, previews, strict=True):
                message_table.append(
                    connection, run.session_key, new_message(body, run.run_id), preview
                )
            session_table.update(
                connection,
                run.session_key,
                status=SESSION_STATUS[outcome.state],
                aborted=int(outcome.state == "aborted"),
                last_run_id=run.run_id,
            )
            session_table.add_usage(
                connection, run.session_key, outcome.input_tokens, outcome.output_tokens
            )

        await self._write(change)
        task.run = run._replace(
            state=outcome.state, started_at=task.started_at, ended_at=now,
            error=outcome.error, result=result, prompt=None,
        )  # fmt: skip
        if self._active.get(run.session_key) is task:
            self._going_on.discard(run.session_key)
        self._announce(task, outcome, now)
        self.book.changed(run.session_key, run.agent_id, "run")
        self._over(task)
        if outcome.error:
            self.log.info("run {run}: {error}", run=run.run_id, error=outcome.error)

    def _write_answer(self, connection: Connection, run: Run, text: str, outcome: Outcome) -> None:
        if self.answers is not None and run.delivery is not None:
            self.answers.write(connection, run, text, outcome)

    def _over(self, task: _Task) -> None:
        """Tell those who wait for a run."""
        self._tasks.pop(task.run.run_id, None)
        if self.answers is not None and task.run.delivery is not None:
            self.answers.over(task.run)
        for waiting in task.over:
            if not waiting.called:
                waiting.callback(task.run)

    async def _write(self, change: Callable[[Connection], T]) -> T:
        """Write what must be written, however long the store cannot.

        Raises:
            StoreError: it still cannot, and the Gateway is stopping.
        """
        while True:
            try:
                return await self._database.write(change)
            except StoreError as problem:
                if self._stopping:
                    raise
                self.log.warn("{why}; it will be tried again", why=str(problem))
            await deferLater(self._reactor, WRITE_AGAIN_SECONDS)

    def _result(self, task: _Task, outcome: Outcome, now: int) -> wire.RunResult:
        run = task.run
        session = self.book.get(run.session_key)
        return result_of(
            task.stream.text if task.stream else "",
            outcome,
            self.book.model_info(run.session_key, run.agent_id),
            session.session_id if session else "",
            now - (task.started_at or now),
        )

    def _announce(self, task: _Task, outcome: Outcome, now: int) -> None:
        stream = task.stream or RunStream(
            self._reactor,
            self._events,
            RunNames(
                task.run.run_id,
                task.run.session_key,
                task.run.requested_key,
                "-",
                task.run.agent_id,
            ),
            self._now_ms,
        )
        text = stream.text
        message = assistant_message(text, now) if text else None
        if outcome.state == "ok":
            stream.ended(now, assistant_message(text, now), outcome.stop_reason)
        elif outcome.state == "aborted":
            stream.aborted(now, message, outcome.stop_reason)
        else:
            kind = "timeout" if outcome.state == "timeout" else "unknown"
            stream.failed(now, outcome.error or "the run failed", kind, message)
