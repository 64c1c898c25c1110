"""The book of sessions: listing, patching, resetting, deleting, and what a list shows of each.

Listings are answered from memory while nothing changes: the answer is kept as JSON, by what was
asked, and every change of any session starts a new edition. How many sessions there are is
counted once at start and then kept up, because counting rows takes longer the more there are.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, to_builtins

from clawgw.events import EventSink
from clawgw.protocol import sessions as wire
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid
from clawgw.protocol.system import ModelDefaults, RecentSession, SessionsInfo
from clawgw.sessions.keys import SessionKeys, chat_type
from clawgw.store import messages as message_table
from clawgw.store import sessions as table
from clawgw.store.database import Connection, Database
from clawgw.store.sessions import Filter, Session

RECENT = 5
SETTINGS_NOT_KEPT = frozenset(
    {
        "key", "agent_id", "label", "archived", "spawned_by",
        "expected_session_id", "expected_lifecycle_revision", "expected_permission_mode",
        "expected_tool_overrides", "expected_marked_unread_at",
    }
)  # fmt: skip


@dataclass(frozen=True)
class ModelInfo:
    """The model a session uses, as lists name it."""

    provider: str | None
    model: str | None
    context_tokens: int | None


class SessionBook:
    """All sessions.

    Args:
        database: where they are.
        keys: how they are named.
        path: what `path` says in answers: the store's file.
        model_of: the model an agent uses, given a session's own choice or None.
        active: the keys of sessions with a run going on.
        events: where changes are told.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        keys: SessionKeys,
        path: str,
        model_of: Callable[[str, str | None], ModelInfo],
        active: Callable[[], Collection[str]],
        events: EventSink,
        now_ms: Callable[[], int],
    ) -> None:
        self.keys = keys
        self.path = path
        self.edition = 0
        self._database = database
        self._model_of = model_of
        self._active = active
        self._events = events
        self._now_ms = now_ms
        self._counts = database.read(table.counts_by_agent)

    # Reading

    def get(self, key: str) -> Session | None:
        """The session of a full key."""
        return self._database.read(table.get, key)

    def get_by_id(self, session_id: str) -> Session | None:
        """The session whose transcript has this id."""
        return self._database.read(table.get_by_id, session_id)

    def count(self, agent_id: str | None = None) -> int:
        """How many sessions there are, archived ones too."""
        return sum(
            number for (agent, _), number in self._counts.items() if agent_id in (None, agent)
        )

    def count_matching(self, wanted: Filter) -> int | None:
        """How many sessions a filter finds, if that is known without looking."""
        plain = Filter(agent_id=wanted.agent_id, archived=wanted.archived)
        if wanted != plain:
            return None
        return sum(
            number
            for (agent, archived), number in self._counts.items()
            if wanted.agent_id in (None, agent) and wanted.archived in (None, archived)
        )

    def defaults(self) -> ModelDefaults:
        """The model of a session for which nobody chose one."""
        info = self._model_of(self.keys.default_agent, None)
        return ModelDefaults(
            model=info.model, context_tokens=info.context_tokens, model_provider=info.provider
        )

    def info(self, agent_id: str | None = None) -> SessionsInfo:
        """What health and status say of sessions."""
        now = self._now_ms()
        recent = self._database.read(table.listing, Filter(agent_id=agent_id), RECENT)
        return SessionsInfo(
            path=self.path,
            count=self.count(agent_id),
            recent=[
                RecentSession(
                    key=one.key, updated_at=one.updated_at, age=max(0, now - one.updated_at)
                )
                for one in recent
            ],
        )

    def row(
        self, session: Session, *, version: int = 4, titles: bool = False, previews: bool = False
    ) -> wire.SessionRow:
        """A session as a list shows it.

        Lists are long, so what goes without saying is left out: zeros, "no", and the model that
        the answer's `defaults` name. Version 3 clients know fewer fields.
        """
        new = version >= 4
        running = session.key in self._active()
        total = session.input_tokens + session.output_tokens
        kind: Any = chat_type(session.key)
        status: Any = "running" if running else session.status
        return wire.SessionRow(
            key=session.key,
            kind="group" if kind == "channel" else kind,
            chat_type=kind,
            agent_id=session.agent_id if new else UNSET,
            is_main=True if new and self.keys.is_main(session.key) else UNSET,
            session_id=session.session_id,
            updated_at=session.updated_at,
            created_at=session.created_at if new else UNSET,
            last_interaction_at=(session.interacted_at or UNSET) if new else UNSET,
            label=session.label or UNSET,
            derived_title=(session.title or UNSET) if titles else UNSET,
            last_message_preview=(session.preview or UNSET) if previews else UNSET,
            last_channel=session.channel or UNSET,
            status=(status or UNSET) if new else UNSET,
            has_active_run=True if new and running else UNSET,
            system_sent=True if session.message_count else UNSET,
            aborted_last_run=True if session.aborted else UNSET,
            archived=True if session.archived else UNSET,
            pinned=session.settings.get("pinned", UNSET),
            thinking_level=session.settings.get("thinkingLevel", UNSET),
            input_tokens=session.input_tokens or UNSET,
            output_tokens=session.output_tokens or UNSET,
            total_tokens=total or UNSET,
            spawned_by=session.spawned_by or UNSET,
            **self._row_model(session),
        )

    def _row_model(self, session: Session) -> dict[str, Any]:
        """The model of a session, where it is not the one in `defaults`."""
        model = self._model_of(session.agent_id, session.settings.get("model"))
        if model == self._model_of(self.keys.default_agent, None):
            return {}
        return {
            "model_provider": model.provider or UNSET,
            "model": model.model or UNSET,
            "context_tokens": model.context_tokens or UNSET,
        }

    def entry(self, session: Session) -> dict[str, Any]:
        """A session as `sessions.patch` and `sessions.reset` answer it."""
        model = self._model_of(session.agent_id, session.settings.get("model"))
        entry: dict[str, Any] = {
            "sessionId": session.session_id,
            "updatedAt": session.updated_at,
            "createdAt": session.created_at,
            "systemSent": session.message_count > 0,
            "abortedLastRun": session.aborted,
            "chatType": chat_type(session.key),
            "inputTokens": session.input_tokens,
            "outputTokens": session.output_tokens,
            "totalTokens": session.input_tokens + session.output_tokens,
            **session.settings,
        }
        optional = {
            "label": session.label,
            "modelProvider": model.provider,
            "model": model.model,
            "contextTokens": model.context_tokens,
            "spawnedBy": session.spawned_by,
            "archived": session.archived or None,
        }
        entry.update({name: value for name, value in optional.items() if value is not None})
        return entry

    def model_info(self, key: str, agent_id: str) -> ModelInfo:
        """The model a session uses, whether it exists yet or not."""
        session = self.get(key)
        return self._model_of(agent_id, session.settings.get("model") if session else None)

    def resolved_model(self, session: Session) -> dict[str, Any]:
        """The model a session uses now."""
        model = self._model_of(session.agent_id, session.settings.get("model"))
        return {"modelProvider": model.provider, "model": model.model}

    # Changing

    def ensure(self, connection: Connection, key: str, agent_id: str, now_ms: int) -> Session:
        """Inside a write: the session of a key, made if there is none."""
        return table.ensure(
            connection, key, agent_id, str(uuid.uuid4()), now_ms, chat_type(key), "webchat"
        )

    def changed(self, key: str, agent_id: str, reason: str) -> None:
        """Something about a session is new: lists are out of date."""
        self.edition += 1
        event = wire.SessionsChangedEvent(
            session_key=key, agent_id=agent_id, reason=reason, ts=self._now_ms()
        )
        self._events.publish("sessions.changed", event, droppable=True, only_version=4)

    def created(self, agent_id: str) -> None:
        """A session was made inside somebody's write."""
        self._count(agent_id, archived=False, change=1)

    async def patch(self, key: str, agent_id: str, params: wire.SessionsPatchParams) -> Session:
        """Change what is given; the session is made if there is none.

        Raises:
            RequestError: the label belongs to another session, or the session is another one.
        """

        def change(connection: Connection) -> tuple[Session, Session, bool]:
            existed = table.get(connection, key) is not None
            old = self.ensure(connection, key, agent_id, self._now_ms())
            _check_expected(old, given(params.expected_session_id, None))
            columns = self._patched_columns(connection, old, params)
            table.update(connection, key, **columns)
            new = table.get(connection, key)
            assert new is not None
            return old, new, existed

        old, new, existed = await self._database.write(change)
        if not existed:
            self.created(agent_id)
        if old.archived != new.archived:
            self._count(agent_id, archived=old.archived, change=-1)
            self._count(agent_id, archived=new.archived, change=1)
        self.changed(key, agent_id, "patch")
        return new

    async def reset(self, key: str, agent_id: str) -> Session:
        """Begin a session anew: another transcript, settings as they are."""

        def change(connection: Connection) -> tuple[Session, bool]:
            now = self._now_ms()
            existed = table.get(connection, key) is not None
            old = self.ensure(connection, key, agent_id, now)
            message_table.delete_transcript(connection, old.session_id)
            table.update(
                connection, key, session_id=str(uuid.uuid4()), updated_at=now, title=None,
                preview=None, status=None, last_run_id=None, aborted=0, message_count=0,
                last_seq=0, input_tokens=0, output_tokens=0, agent_session=None,
            )  # fmt: skip
            new = table.get(connection, key)
            assert new is not None
            return new, existed

        session, existed = await self._database.write(change)
        if not existed:
            self.created(agent_id)
        self.changed(key, agent_id, "reset")
        return session

    async def delete(
        self, key: str, agent_id: str, expected_id: str | None, *, with_transcript: bool
    ) -> bool:
        """Forget a session; returns whether there was one.

        Raises:
            RequestError: it is an agent's main session, or another one than expected.
        """
        if self.keys.is_main(key):
            raise invalid("key: the main session cannot be deleted; reset it instead")

        def change(connection: Connection) -> Session | None:
            session = table.get(connection, key)
            if session is None:
                return None
            _check_expected(session, expected_id)
            table.delete(connection, key)
            if with_transcript:
                message_table.delete_transcript(connection, session.session_id)
            return session

        session = await self._database.write(change)
        if session is None:
            return False
        self._count(agent_id, archived=session.archived, change=-1)
        self.changed(key, agent_id, "delete")
        return True

    async def compact(self, key: str, agent_id: str, keep: int) -> int | None:
        """Forget all but the last messages; returns how many went, None without a session."""

        def change(connection: Connection) -> int | None:
            if table.get(connection, key) is None:
                return None
            return message_table.keep_last(connection, key, keep)

        gone = await self._database.write(change)
        if gone:
            self.changed(key, agent_id, "compact")
        return gone

    def _count(self, agent_id: str, *, archived: bool, change: int) -> None:
        place = (agent_id, archived)
        self._counts[place] = self._counts.get(place, 0) + change

    def _patched_columns(
        self, connection: Connection, old: Session, params: wire.SessionsPatchParams
    ) -> dict[str, Any]:
        columns: dict[str, Any] = {"updated_at": max(old.updated_at, self._now_ms())}
        if params.label is not UNSET:
            label = params.label.strip() or None if isinstance(params.label, str) else None
            owner = table.get_by_label(connection, label) if label else None
            if owner is not None and owner.key != old.key:
                raise invalid("label: already in use by another session")
            columns["label"] = label
        if params.archived is not UNSET:
            columns["archived"] = int(bool(params.archived))
        if params.spawned_by is not UNSET:
            columns["spawned_by"] = params.spawned_by
        if params.model is not UNSET and isinstance(params.model, str) and "/" not in params.model:
            raise invalid("model: expected provider/model")
        columns["settings"] = _patched_settings(old.settings, params)
        return columns


def _patched_settings(settings: dict[str, Any], params: wire.SessionsPatchParams) -> dict[str, Any]:
    """The settings with what was given; null takes one away. Names as on the wire."""
    new = dict(settings)
    for name, wire_name in zip(
        params.__struct_fields__, params.__struct_encode_fields__, strict=True
    ):
        value = getattr(params, name)
        if value is UNSET or name in SETTINGS_NOT_KEPT:
            continue
        if value is None:
            new.pop(wire_name, None)
        else:
            new[wire_name] = to_builtins(value)
    return new


def _check_expected(session: Session, expected_id: str | None) -> None:
    if expected_id is not None and session.session_id != expected_id:
        raise invalid("expectedSessionId: the session has been reset since")
