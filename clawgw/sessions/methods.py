"""Methods of chat and sessions: `chat.*` and `sessions.*`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import UNSET, Raw, structs, to_builtins

from clawgw.agents.prompts import Prompt, files_of
from clawgw.events import EventSink
from clawgw.methods import Caller, MethodTable
from clawgw.protocol import chat as chat_wire
from clawgw.protocol import sessions as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid
from clawgw.protocol.frames import encode
from clawgw.sessions import transcripts
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionName
from clawgw.sessions.messages import assistant_message, new_message, one_line, text_of
from clawgw.store import messages as message_table
from clawgw.store import sessions as session_table
from clawgw.store.database import Connection, Database
from clawgw.store.runs import Run
from clawgw.store.sessions import Filter, Session
from clawgw.trust.scopes import ADMIN, READ, WRITE

# Version 3 clients that name no limit ask often, and say nothing of a next page.
DEFAULT_LIST = {3: 50, 4: 100}
MAX_LIST = 1000
MAX_CACHED_LISTS = 64
DEFAULT_PREVIEW_ITEMS = 12
MAX_PREVIEW_KEYS = 64
DEFAULT_PREVIEW_CHARS = 240
DEFAULT_COMPACT = 400


class Runs(Protocol):
    """What chat needs of the runs."""

    def accept(
        self, method: str, params: Any, name: SessionName, requested_key: str, prompt: Prompt,
        run_id: str, delivery: bytes | None = None,
    ) -> Awaitable[Run]:  # fmt: skip
        """Take a message in."""

    def last_place(self, name: SessionName) -> bytes | None:
        """Where the answer goes if it goes where the session's people last wrote from."""

    def abort(
        self, session_key: str, run_id: str | None, reason: str = "rpc"
    ) -> Awaitable[list[str]]:
        """Stop runs."""

    def in_flight(self, session_key: str) -> chat_wire.InFlightRun | None:
        """The run going on in a session."""


@dataclass(frozen=True)
class ChatMethods:
    """The handlers of `chat.*`."""

    database: Database
    book: SessionBook
    runs: Runs
    events: EventSink
    in_thread: Callable[..., Awaitable[Any]]
    now_ms: Callable[[], int]

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("chat.send", self.send, scope=WRITE)
        table.add("chat.history", self.history, scope=READ, agents=True)
        table.add("chat.abort", self.abort, scope=WRITE)
        table.add("chat.inject", self.inject, scope=ADMIN)

    async def send(self, _: Caller, params: chat_wire.ChatSendParams) -> chat_wire.ChatSendResult:
        """Take a message in; its answer comes as events."""
        attached = given(params.attachments, [])
        files = await self.in_thread(files_of, attached) if attached else ()
        if not params.message.strip() and not files:
            raise invalid("message: expected text or an attachment")
        name = self.book.keys.parse(params.session_key, given(params.agent_id, None))
        expected = given(params.session_id, None)
        if expected is not None:
            session = self.book.get(name.key)
            if session is not None and session.session_id != expected:
                raise invalid("sessionId: the session has been reset since")
        prompt = Prompt(
            text=params.message,
            files=files,
            thinking=given(params.thinking, None),
            timeout_ms=given(params.timeout_ms, None),
        )
        run = await self.runs.accept(
            "chat.send", params, name, params.session_key, prompt, params.idempotency_key,
            self.runs.last_place(name) if given(params.deliver, False) else None,
        )  # fmt: skip
        return chat_wire.ChatSendResult(run_id=run.run_id)

    async def history(self, caller: Caller, params: chat_wire.ChatHistoryParams) -> Any:
        """The newest messages, or with a cursor what came since."""
        name = self.book.keys.parse(params.session_key, given(params.agent_id, None))
        if caller.bound_session is not None:
            caller.bound_session.check(*name)
        max_chars = given(params.max_chars, None)
        cursor = given(params.cursor, None)
        if cursor is not None and caller.version >= 4:
            return await self._delta(name, cursor, max_chars)
        session, page = await self.database.read_in_thread(
            transcripts.read_page,
            name.key,
            version=caller.version,
            limit=given(params.limit, transcripts.DEFAULT_LIMIT),
            offset=given(params.offset, 0),
            max_chars=max_chars,
        )
        return self._page(caller, params.session_key, name, session, page)

    def _page(
        self,
        caller: Caller,
        asked_key: str,
        name: SessionName,
        session: Session | None,
        page: transcripts.Page,
    ) -> chat_wire.ChatHistory:
        new = caller.version >= 4
        messages: Any = [Raw(message) for message in page.messages]
        return chat_wire.ChatHistory(
            session_key=asked_key,
            session_id=session.session_id if session else UNSET,
            messages=messages,
            thinking_level=(session.settings if session else {}).get("thinkingLevel", "off"),
            pending_inputs={"items": [], "total": 0} if new else UNSET,
            delta_cursor=page.cursor if new else UNSET,
            has_more=page.has_more if new else UNSET,
            total_messages=page.total if new else UNSET,
            defaults=to_builtins(self.book.defaults()) if new else UNSET,
            session_info=self._info(session) if new and session else UNSET,
            in_flight_run=(self.runs.in_flight(name.key) or UNSET) if new else UNSET,
        )

    async def _delta(self, name: SessionName, cursor: str, max_chars: int | None) -> Any:
        found = await self.database.read_in_thread(
            transcripts.read_since, name.key, cursor, max_chars=max_chars
        )
        if found is None:
            return chat_wire.ChatHistoryReset()
        session, bodies, reached = found
        messages: Any = [Raw(body) for body in bodies]
        return chat_wire.ChatHistoryDelta(
            messages=messages,
            delta_cursor=reached,
            session_info=self._info(session),
            in_flight_run=self.runs.in_flight(name.key) or UNSET,
        )

    def _info(self, session: Session) -> dict[str, Any]:
        info: dict[str, Any] = to_builtins(self.book.row(session))
        return info

    async def abort(
        self, _: Caller, params: chat_wire.ChatAbortParams
    ) -> chat_wire.ChatAbortResult:
        """Stop one run, or all runs of a session."""
        name = self.book.keys.parse(params.session_key, given(params.agent_id, None))
        ended = await self.runs.abort(name.key, given(params.run_id, None))
        return chat_wire.ChatAbortResult(aborted=bool(ended), run_ids=ended)

    async def inject(
        self, _: Caller, params: chat_wire.ChatInjectParams
    ) -> chat_wire.ChatInjectResult:
        """Put a note into a transcript; no agent is asked."""
        name = self.book.keys.parse(params.session_key, given(params.agent_id, None))
        label = given(params.label, "").strip()
        text = f"[{label}]\n\n{params.message}" if label else params.message
        body = assistant_message(text, self.now_ms(), stopReason="injected")
        message = new_message(body)

        def change(connection: Connection) -> bool:
            if session_table.get(connection, name.key) is None:
                return False
            message_table.append(connection, name.key, message, one_line(text_of(body)))
            return True

        if not await self.database.write(change):
            raise invalid("sessionKey: there is no such session")
        self.book.changed(name.key, name.agent_id, "message")
        self._tell_injected(params.session_key, name, message.id, body)
        return chat_wire.ChatInjectResult(message_id=message.id)

    def _tell_injected(
        self, asked_key: str, name: SessionName, message_id: str, body: dict[str, Any]
    ) -> None:
        def event(key: str, agent_id: Any) -> chat_wire.ChatEvent:
            return chat_wire.ChatEvent(
                run_id=f"inject-{message_id}",
                session_key=key,
                agent_id=agent_id,
                seq=0,
                state="final",
                message=body,
            )

        self.events.publish("chat", event(name.key, name.agent_id), v3=event(asked_key, UNSET))


@dataclass(frozen=True)
class SessionMethods:
    """The handlers of `sessions.*`."""

    database: Database
    book: SessionBook
    runs: Runs
    forget_agent_session: Callable[[str, str], None]
    now_ms: Callable[[], int]
    _lists: dict[Any, bytes] = field(default_factory=dict)
    _lists_edition: list[int] = field(default_factory=lambda: [-1])

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        table.add("sessions.list", self.list_sessions, scope=READ, agents=True)
        table.add("sessions.preview", self.preview, scope=READ)
        table.add("sessions.resolve", self.resolve, scope=READ)
        table.add("sessions.patch", self.patch, scope=WRITE)
        table.add("sessions.reset", self.reset, scope=ADMIN)
        table.add("sessions.delete", self.delete, scope=ADMIN)
        table.add("sessions.compact", self.compact, scope=ADMIN)

    # Listing

    def list_sessions(self, caller: Caller, params: wire.SessionsListParams) -> Any:
        """The latest sessions; from memory while none has changed."""
        if self._lists_edition[0] != self.book.edition:
            self._lists.clear()
            self._lists_edition[0] = self.book.edition
        bound = caller.bound_session
        if bound is not None:
            if bound.visibility == "self":
                return self._only(caller, params, bound.key)
            if bound.visibility == "agent":
                params = structs.replace(params, agent_id=bound.agent_id)
        asked = (caller.version, params)
        kept = self._lists.get(asked)
        if kept is not None:
            return b'{"ts":%d,%b' % (self.now_ms(), kept)
        wanted = self._filter(params)
        limit = min(given(params.limit, DEFAULT_LIST[caller.version]), MAX_LIST)
        offset = given(params.offset, 0)
        if wanted.scans or offset > MAX_LIST:
            return self._scan(caller, params, wanted, limit, offset)
        found = self.database.read(session_table.listing, wanted, limit + 1, offset)
        total = self.book.count_matching(wanted)
        result = encode(self._result(caller, params, found, limit, offset, total))
        if params.active_minutes is UNSET and len(self._lists) < MAX_CACHED_LISTS:
            self._lists[asked] = result[result.index(b",") + 1 :]
        return result

    def _only(self, caller: Caller, params: wire.SessionsListParams, key: str) -> wire.SessionsList:
        session = self.book.get(key)
        found = [] if session is None else [session]
        return self._result(caller, params, found, 1, 0, len(found))

    async def _scan(
        self,
        caller: Caller,
        params: wire.SessionsListParams,
        wanted: Filter,
        limit: int,
        offset: int,
    ) -> wire.SessionsList:
        found = await self.database.read_in_thread(session_table.listing, wanted, limit + 1, offset)
        total = await self.database.read_in_thread(session_table.count, wanted)
        return self._result(caller, params, found, limit, offset, total)

    def _filter(self, params: wire.SessionsListParams) -> Filter:
        archived = given(params.archived, False)
        minutes = given(params.active_minutes, None)
        return Filter(
            agent_id=given(params.agent_id, None),
            label=given(params.label, None),
            spawned_by=given(params.spawned_by, None),
            search=given(params.search, "").strip() or None,
            updated_after=None if minutes is None else self.now_ms() - minutes * 60_000,
            archived=None if archived == "all" else bool(archived),
            by_interaction=params.sort_by == "lastInteractionAt",
            interacted_only=given(params.require_last_interaction, False),
        )

    def _result(
        self,
        caller: Caller,
        params: wire.SessionsListParams,
        found: list[Session],
        limit: int,
        offset: int,
        total: int | None,
    ) -> wire.SessionsList:
        titles = given(params.include_derived_titles, False)
        previews = given(params.include_last_message, False)
        more = len(found) > limit
        rows = [
            self.book.row(session, version=caller.version, titles=titles, previews=previews)
            for session in found[:limit]
        ]
        new = caller.version >= 4
        return wire.SessionsList(
            ts=self.now_ms(),
            path=self.book.path,
            count=len(rows),
            defaults=self.book.defaults(),
            sessions=rows,
            total_count=total if new and total is not None else UNSET,
            limit_applied=limit if new else UNSET,
            next_offset=(offset + limit if more else None) if new else UNSET,
            has_more=more if new else UNSET,
            owners=[] if new else UNSET,
        )

    async def preview(self, _: Caller, params: wire.SessionsPreviewParams) -> wire.SessionsPreview:
        """The last few messages of some sessions."""
        limit = min(given(params.limit, DEFAULT_PREVIEW_ITEMS), transcripts.DEFAULT_LIMIT)
        max_chars = given(params.max_chars, DEFAULT_PREVIEW_CHARS)
        previews = [
            await self._preview(key, limit, max_chars) for key in params.keys[:MAX_PREVIEW_KEYS]
        ]
        return wire.SessionsPreview(ts=self.now_ms(), previews=previews)

    async def _preview(self, asked: str, limit: int, max_chars: int) -> wire.SessionPreview:
        key = self.book.keys.parse(asked).key
        found = await self.database.read_in_thread(transcripts.read_preview, key, limit, max_chars)
        if found is None:
            return wire.SessionPreview(key=asked, status="missing", items=[])
        items = [wire.PreviewItem(role=role, text=text) for role, text in found]
        return wire.SessionPreview(key=asked, status="ok" if items else "empty", items=items)

    def resolve(self, caller: Caller, params: wire.SessionsResolveParams) -> wire.SessionResolved:
        """Which session is meant."""
        given_ways = [params.key, params.session_id, params.label]
        if sum(way is not UNSET for way in given_ways) != 1:
            raise invalid("expected exactly one of key, sessionId, label")
        session = self._resolved(params)
        if session is None:
            if given(params.allow_missing, False):
                return wire.SessionResolved(ok=False)
            raise invalid("there is no such session")
        return wire.SessionResolved(
            ok=True, key=session.key, agent_id=UNSET if caller.version < 4 else session.agent_id
        )

    def _resolved(self, params: wire.SessionsResolveParams) -> Session | None:
        agent_id = given(params.agent_id, None)
        if isinstance(params.key, str):
            return self.book.get(self.book.keys.parse(params.key, agent_id).key)
        if isinstance(params.session_id, str):
            session = self.book.get_by_id(params.session_id)
        else:
            session = self.database.read(session_table.get_by_label, given(params.label, ""))
        return session if agent_id in (None, session and session.agent_id) else None

    # Changing

    async def patch(self, caller: Caller, params: wire.SessionsPatchParams) -> wire.SessionChanged:
        """Change settings of a session."""
        name = self.book.keys.parse(params.key, given(params.agent_id, None))
        session = await self.book.patch(name.key, name.agent_id, params)
        return self._changed(caller, session)

    async def reset(self, caller: Caller, params: wire.SessionsResetParams) -> wire.SessionChanged:
        """Begin a session anew; what runs in it is stopped."""
        name = self.book.keys.parse(params.key, given(params.agent_id, None))
        return self._changed(caller, await self.begin_anew(name))

    async def begin_anew(self, name: SessionName) -> Session:
        """Reset a session; what runs in it is stopped."""
        await self._quiet(name)
        return await self.book.reset(name.key, name.agent_id)

    async def delete(self, _: Caller, params: wire.SessionsDeleteParams) -> wire.SessionDeleted:
        """Forget a session; what runs in it is stopped."""
        name = self.book.keys.parse(params.key, given(params.agent_id, None))
        if not self.book.keys.is_main(name.key):
            await self._quiet(name)
        deleted = await self.book.delete(
            name.key,
            name.agent_id,
            given(params.expected_session_id, None),
            with_transcript=given(params.delete_transcript, True),
        )
        return wire.SessionDeleted(key=name.key, deleted=deleted, archived=[])

    async def compact(self, _: Caller, params: wire.SessionsCompactParams) -> wire.SessionCompacted:
        """Keep the last messages only."""
        name = self.book.keys.parse(params.key, given(params.agent_id, None))
        keep = given(params.max_lines, DEFAULT_COMPACT)
        gone = await self.book.compact(name.key, name.agent_id, keep)
        if gone is None:
            return wire.SessionCompacted(key=name.key, compacted=False, reason="no session")
        session = self.book.get(name.key)
        kept = session.message_count if session else 0
        return wire.SessionCompacted(key=name.key, compacted=gone > 0, kept=kept)

    async def _quiet(self, name: SessionName) -> None:
        session = self.book.get(name.key)
        await self.runs.abort(name.key, None, "reset")
        if session is not None:
            self.forget_agent_session(name.agent_id, session.session_id)

    def _changed(self, caller: Caller, session: Session) -> wire.SessionChanged:
        return wire.SessionChanged(
            key=session.key,
            path=self.book.path,
            entry=self.book.entry(session),
            resolved=UNSET if caller.version < 4 else self.book.resolved_model(session),
        )
