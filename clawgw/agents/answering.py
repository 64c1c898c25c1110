"""Answering: what becomes of a run from the moment its turn has come until it is over.

*Begun* is written before the agent is asked; a run that was begun is never begun again, because
nobody knows what the agent has done already. *Over* is written, with the answer, before anybody
hears of the end. While the store cannot write (a full disk), a run waits for it at either point.

A run that is stopped or takes too long is over at once for those who watch. Its agent is asked to
end the turn too, and killed if it does not within a moment; until then nothing else is begun in the
session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from clawgw.agents.acp import AcpAgent, AgentUnavailable
from clawgw.agents.delivery import Delivery
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
from clawgw.sessions.book import SessionBook
from clawgw.sessions.messages import assistant_message, new_message, one_line, text_of
from clawgw.store import messages as message_table
from clawgw.store import runs as table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection, Database, StoreError
from clawgw.store.runs import Run

T = TypeVar("T")

DRAIN_SECONDS = 10.0
WRITE_AGAIN_SECONDS = 2.0


class Task:
    """A run in memory: waiting or going on.

    Attributes:
        concluded: fires with the decision how the run ends, before that is written.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.concluded: Deferred[Outcome] = Deferred()
        self.stream: RunStream | None = None
        self.agent_session: str | None = None
        self.started_at: int | None = None
        self._decided = False
        self._waiting: list[Deferred[Run]] = []

    @property
    def text(self) -> str:
        """The answer so far."""
        return "" if self.stream is None else self.stream.text

    def conclude(self, outcome: Outcome) -> bool:
        """Decide how the run ends; the first decision counts."""
        if self._decided:
            return False
        self._decided = True
        if self.stream is not None:
            self.stream.close()
        self.concluded.callback(outcome)
        return True

    def when_over(self) -> Deferred[Run]:
        """Fires when the run is over; may be fired before by whoever asked."""
        over: Deferred[Run] = Deferred()
        self._waiting.append(over)
        return over

    def tell(self) -> None:
        """Tell those who wait that the run is over."""
        for waiting in self._waiting:
            if not waiting.called:
                waiting.callback(self.run)


class Answering:
    """Has runs answered by their agents.

    Args:
        reactor: for time limits.
        database: where runs are.
        book: the sessions they belong to.
        events: where they are watched.
        timeout_seconds: how long a run may take.
        now_ms: the time, in milliseconds since the epoch.
        on_over: told of each run that is over, before those who wait for it.

    Attributes:
        delivery: where answers go beside the transcript.
        going_on: the runs that have begun and are not over, by session.
        stopping: whether what cannot be written now is left to the next start.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Database,
        book: SessionBook,
        events: EventSink,
        timeout_seconds: float,
        now_ms: Callable[[], int],
        on_over: Callable[[Task], object],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._book = book
        self._events = events
        self._timeout_seconds = timeout_seconds
        self._now_ms = now_ms
        self._on_over = on_over
        self.delivery = Delivery()
        self.going_on: dict[str, Task] = {}
        self.stopping = False

    async def answer(self, task: Task, agent: AcpAgent) -> None:
        """A run from beginning to end; returns when the agent has ended its turn too."""
        self.going_on[task.run.session_key] = task
        try:
            prompt = await self._begin(task)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run must end
            self.log.failure("run {run}: could not begin", run=task.run.run_id)
            task.conclude(
                Outcome("error", error=f"the run could not begin: {type(problem).__name__}")
            )
            await self.end(task, await task.concluded)
            return
        timer = self._limit(task, prompt)
        turn = Deferred.fromCoroutine(self._turn(task, agent, prompt))
        turn.addCallback(task.conclude)
        outcome = await task.concluded
        if timer is not None and timer.active():
            timer.cancel()
        try:
            await self.end(task, outcome)
        finally:
            if not turn.called:
                await self._drain(task, agent, turn)

    # Beginning

    async def _begin(self, task: Task) -> Prompt:
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
        task.stream = self._stream(run, session.session_id)
        task.stream.started(task.started_at)
        self.delivery.begun(run, lambda: task.text)
        self._book.changed(run.session_key, run.agent_id, "run")
        if prompt.model is None and session.settings.get("model"):
            prompt = msgspec.structs.replace(prompt, model=session.settings["model"])
        return prompt

    def _stream(self, run: Run, session_id: str) -> RunStream:
        names = RunNames(run.run_id, run.session_key, run.requested_key, session_id, run.agent_id)
        return RunStream(self._reactor, self._events, names, self._now_ms)

    def _limit(self, task: Task, prompt: Prompt) -> Any:
        seconds = self._timeout_seconds
        if prompt.timeout_ms is not None:
            seconds = prompt.timeout_ms / 1000
        if seconds <= 0:
            return None
        error = f"the agent did not finish within {seconds:g} s"
        return self._reactor.callLater(seconds, task.conclude, Outcome("timeout", "timeout", error))

    # The agent's turn

    async def _turn(self, task: Task, agent: AcpAgent, prompt: Prompt) -> Outcome:
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

    async def _open(self, task: Task, agent: AcpAgent) -> str:
        session = self._database.read(session_table.get, task.run.session_key)
        if session is None:
            raise AgentUnavailable("the session was deleted")
        opened = await agent.open_session(session.session_id, session.agent_session)
        if opened != session.agent_session:
            await self._database.write(session_table.update, session.key, agent_session=opened)
        return opened

    async def _drain(self, task: Task, agent: AcpAgent, turn: Deferred[Any]) -> None:
        """A run is over but the agent's turn is not: ask it to end, then make it."""
        if task.agent_session is not None:
            agent.cancel(task.agent_session)
        killer = self._reactor.callLater(
            DRAIN_SECONDS, agent.kill, "it did not end a turn that was cancelled"
        )
        await turn
        if killer.active():
            killer.cancel()

    # Ending

    async def end(self, task: Task, outcome: Outcome) -> None:
        """Write how a run ended, also one that never began, then tell everybody.

        Raises:
            StoreError: it cannot be written, and the Gateway is stopping.
        """
        run = task.run
        await self.delivery.ending(run)
        now = self._now_ms()
        result = await self._write_end(task, outcome, now)
        task.run = run._replace(
            state=outcome.state, started_at=task.started_at, ended_at=now,
            error=outcome.error, result=result, prompt=None,
        )  # fmt: skip
        if self.going_on.get(run.session_key) is task:
            del self.going_on[run.session_key]
        self._announce(task, outcome, now)
        self._book.changed(run.session_key, run.agent_id, "run")
        self._over(task)
        if outcome.error:
            self.log.info("run {run}: {error}", run=run.run_id, error=outcome.error)

    async def end_dead(self, task: Task, error: str) -> None:
        """End a run that a crash has left, and that nobody can answer any more.

        Raises:
            StoreError: it cannot be written, and the Gateway is stopping.
        """
        now = self._now_ms()
        run = task.run
        note = new_message(failure_message(error, now), run.run_id)

        def change(connection: Connection) -> None:
            if session_table.get(connection, run.session_key) is not None:
                message_table.append(connection, run.session_key, note, one_line(error))
                session_table.update(connection, run.session_key, status="failed")
            table.end(connection, run.run_id, "error", now, error)
            self.delivery.write(connection, run, "", Outcome("error", "error", error))

        await self._write(change)
        task.run = run._replace(state="error", ended_at=now, error=error, prompt=None)
        self._over(task)
        self.log.info("run {run}: {error}", run=run.run_id, error=error)

    async def _write_end(self, task: Task, outcome: Outcome, now: int) -> bytes:
        """Put the answer and the end of a run on the disk; returns its final answer as JSON."""
        run, text = task.run, task.text
        session = self._book.get(run.session_key)
        session_id = session.session_id if session else ""
        model = self._book.model_info(run.session_key, run.agent_id)
        took_ms = now - (task.started_at or now)
        result = msgspec.json.encode(result_of(text, outcome, model, session_id, took_ms))
        messages = transcript_of(task.stream, outcome, model, now)

        def change(connection: Connection) -> None:
            table.end(connection, run.run_id, outcome.state, now, outcome.error, result)
            self.delivery.write(connection, run, text, outcome)
            if session_table.get(connection, run.session_key) is None:
                return
            for body in messages:
                message = new_message(body, run.run_id)
                message_table.append(connection, run.session_key, message, one_line(text_of(body)))
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
        return result

    def _announce(self, task: Task, outcome: Outcome, now: int) -> None:
        stream = task.stream or self._stream(task.run, "-")
        text = stream.text
        message = assistant_message(text, now) if text else None
        if outcome.state == "ok":
            stream.ended(now, assistant_message(text, now), outcome.stop_reason)
        elif outcome.state == "aborted":
            stream.aborted(now, message, outcome.stop_reason)
        else:
            kind = "timeout" if outcome.state == "timeout" else "unknown"
            stream.failed(now, outcome.error or "the run failed", kind, message)

    def _over(self, task: Task) -> None:
        self._on_over(task)
        self.delivery.over(task.run)
        task.tell()

    async def _write(self, change: Callable[[Connection], T]) -> T:
        """Write what must be written, however long the store cannot.

        Raises:
            StoreError: it still cannot, and the Gateway is stopping.
        """
        while True:
            try:
                return await self._database.write(change)
            except StoreError as problem:
                if self.stopping:
                    raise
                self.log.warn("{why}; it will be tried again", why=str(problem))
            await deferLater(self._reactor, WRITE_AGAIN_SECONDS)
