"""A run as it is watched: the agent's updates become `agent` and `chat` events and a transcript.

Text comes in pieces as small as a syllable. They are gathered for a twentieth of a second (longer
as the answer grows, because each `chat` delta carries the whole text so far) and sent on together;
so are thoughts.
Deltas are droppable; the end never is.

What an agent says between tool calls are parts of one answer: the transcript has each part with
the calls it made and their results; `chat` events show the parts joined by an empty line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from clawgw.events import EventSink
from clawgw.protocol.agents import AgentEvent
from clawgw.protocol.chat import ChatEvent
from clawgw.sessions.messages import assistant_message, text_block

GATHER_SECONDS = 0.05
CHARS_PER_SECOND_OF_GATHERING = 200_000
MAX_TOOL_TEXT = 100_000
PART_BREAK = "\n\n"


@dataclass
class ToolCall:
    """A tool the agent uses."""

    call_id: str
    name: str
    args: Any
    status: str = "running"
    content: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Part:
    """Text, and the tools used after it."""

    text: str = ""
    tools: list[ToolCall] = field(default_factory=list)


@dataclass(frozen=True)
class RunNames:
    """What events call a run. Version 3 clients know the session by the key its asker used."""

    run_id: str
    session_key: str
    requested_key: str
    session_id: str
    agent_id: str


class RunStream:
    """One run's events.

    Args:
        reactor: for gathering.
        events: where they go.
        names: what they are about.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(
        self, reactor: Any, events: EventSink, names: RunNames, now_ms: Callable[[], int]
    ) -> None:
        self._reactor = reactor
        self._events = events
        self._names = names
        self._now_ms = now_ms
        self._seq = 0
        self._parts = [Part()]
        self._thought = ""
        self._tools: dict[str, ToolCall] = {}
        self._unsent = ""
        self._unsent_thought = ""
        self._sent_chars = 0
        self._call: Any = None
        self._over = False

    @property
    def text(self) -> str:
        """The answer so far."""
        return PART_BREAK.join(part.text for part in self._parts if part.text)

    # From the agent

    def update(self, update: dict[str, Any]) -> None:
        """One ACP `session/update`; kinds we do not know are ignored."""
        if self._over:
            return
        kind = update.get("sessionUpdate")
        if kind == "agent_message_chunk":
            self._said(_chunk_text(update))
        elif kind == "agent_thought_chunk":
            self._thinks(_chunk_text(update))
        elif kind == "tool_call":
            self._tool_begins(update)
        elif kind == "tool_call_update":
            self._tool_goes_on(update)
        elif kind == "plan":
            self._flush()
            self._agent_event("plan", {"entries": update.get("entries", [])})

    def _said(self, text: str) -> None:
        if not text:
            return
        part = self._parts[-1]
        if part.tools:
            part = Part()
            self._parts.append(part)
        part.text += text
        self._unsent += text
        self._gather()

    def _thinks(self, text: str) -> None:
        if not text:
            return
        if self._unsent:
            self._flush()
        self._thought += text
        self._unsent_thought += text
        self._gather()

    def _gather(self) -> None:
        if self._call is None:
            self._call = self._reactor.callLater(self._gather_seconds(), self._gathered)

    def _gather_seconds(self) -> float:
        if self._sent_chars == 0:
            return 0.0  # the first words at once
        return max(GATHER_SECONDS, self._sent_chars / CHARS_PER_SECOND_OF_GATHERING)

    def _gathered(self) -> None:
        self._call = None
        self._flush()

    def _flush(self) -> None:
        """Send what is waiting: a thought, then what was said after it."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        thought, self._unsent_thought = self._unsent_thought, ""
        if thought:
            self._agent_event("thinking", {"text": self._thought, "delta": thought})
            self._sent_chars += len(thought)
        delta, self._unsent = self._unsent, ""
        if not delta:
            return
        part = self._parts[-1].text
        self._agent_event("assistant", {"text": part, "delta": delta})
        self._sent_chars += len(delta)
        whole = self.text
        began = part == delta and len(whole) > len(delta)
        self._chat_event(
            "delta",
            droppable=True,
            delta_text=PART_BREAK + delta if began else delta,
            message=assistant_message(whole, self._now_ms()),
        )

    def _tool_begins(self, update: dict[str, Any]) -> None:
        self._flush()
        call_id = str(update.get("toolCallId") or f"call-{len(self._tools) + 1}")
        name = _tool_name(update)
        tool = ToolCall(call_id, name, update.get("rawInput"))
        self._tools[call_id] = tool
        self._parts[-1].tools.append(tool)
        self._tool_event({"phase": "start", "name": name, "toolCallId": call_id, "args": tool.args})
        if update.get("status") in ("completed", "failed") or update.get("content"):
            self._tool_goes_on(update)

    def _tool_goes_on(self, update: dict[str, Any]) -> None:
        tool = self._tools.get(str(update.get("toolCallId")))
        if tool is None:
            return
        if tool.args is None:
            tool.args = update.get("rawInput")
        content = _tool_content(update)
        if content:
            tool.content = content
        status = update.get("status")
        about = {"name": tool.name, "toolCallId": tool.call_id}
        if status in ("completed", "failed"):
            tool.status = status
            self._tool_event(
                {
                    "phase": "result",
                    **about,
                    "isError": status == "failed",
                    "result": {"content": tool.content},
                }
            )
        else:
            self._tool_event(
                {"phase": "update", **about, "partialResult": {"content": tool.content}}
            )

    # From the run

    def started(self, at_ms: int) -> None:
        """The agent has been asked."""
        self._agent_event("lifecycle", {"phase": "start", "startedAt": at_ms})

    def ended(self, at_ms: int, message: dict[str, Any], stop_reason: str) -> None:
        """The answer is complete, and in the transcript."""
        self._finish()
        self._agent_event("lifecycle", {"phase": "end", "endedAt": at_ms})
        self._chat_event("final", message=message, stop_reason=stop_reason)

    def aborted(self, at_ms: int, message: dict[str, Any] | None, reason: str) -> None:
        """Somebody stopped the run."""
        self._finish()
        self._chat_event("aborted", message=message, stop_reason=reason)
        self._agent_event(
            "lifecycle",
            {"phase": "end", "endedAt": at_ms, "aborted": True, "stopReason": reason},
        )

    def failed(self, at_ms: int, error: str, kind: str, message: dict[str, Any] | None) -> None:
        """The run ended with an error."""
        self._finish()
        self._agent_event("lifecycle", {"phase": "error", "endedAt": at_ms, "error": error})
        self._chat_event("error", error_message=error, error_kind=kind, message=message)

    def close(self) -> None:
        """From here on nothing the agent says counts; what is waiting goes out."""
        if not self._over:
            self._flush()
            self._over = True

    def _finish(self) -> None:
        self.close()
        for tool in self._tools.values():
            if tool.status == "running":
                tool.status = "failed"

    # Into the transcript

    def transcript(self, now_ms: int, closing: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages of the run; `closing` are fields of the last one."""
        messages: list[dict[str, Any]] = []
        for part in self._parts[:-1]:
            messages += _part_messages(part, now_ms, {"stopReason": "toolUse"})
        last = self._parts[-1]
        if last.tools:
            messages += _part_messages(last, now_ms, {"stopReason": "toolUse"})
            last = Part()
        if last.text or closing.get("errorMessage") or not messages:
            messages += _part_messages(last, now_ms, closing)
        if self._thought:
            messages[0]["content"].insert(0, {"type": "thinking", "thinking": self._thought})
        return messages

    # Events

    def _tool_event(self, data: dict[str, Any]) -> None:
        self._agent_event("tool", data, cap="tool-events")

    def _agent_event(self, stream: str, data: dict[str, Any], cap: str | None = None) -> None:
        self._seq += 1
        names = self._names
        event = AgentEvent(
            run_id=names.run_id,
            stream=stream,
            data=data,
            session_key=names.session_key,
            session_id=names.session_id,
            agent_id=names.agent_id,
            seq=self._seq,
            ts=self._now_ms(),
        )
        old = AgentEvent(
            run_id=names.run_id,
            stream=stream,
            data=data,
            session_key=names.requested_key,
            seq=self._seq,
            ts=event.ts,
        )
        droppable = stream in ("assistant", "thinking") or data.get("phase") == "update"
        self._events.publish("agent", event, v3=old, cap=cap, droppable=droppable)

    def _chat_event(self, state: str, *, droppable: bool = False, **fields: Any) -> None:
        known = {name: value for name, value in fields.items() if value is not None}
        names = self._names
        event = ChatEvent(
            run_id=names.run_id,
            session_key=names.session_key,
            agent_id=names.agent_id,
            seq=self._seq,
            state=state,  # type: ignore[arg-type]
            **known,
        )
        for new in ("delta_text", "error_kind"):
            known.pop(new, None)
        old = ChatEvent(
            run_id=names.run_id,
            session_key=names.requested_key,
            seq=self._seq,
            state=state,  # type: ignore[arg-type]
            **known,
        )
        self._events.publish("chat", event, v3=old, droppable=droppable)


def _part_messages(part: Part, now_ms: int, closing: dict[str, Any]) -> list[dict[str, Any]]:
    message = assistant_message(part.text, now_ms, **closing)
    message["content"] += [
        {"type": "toolCall", "id": tool.call_id, "name": tool.name, "arguments": tool.args or {}}
        for tool in part.tools
    ]
    results = [
        {
            "role": "toolResult",
            "toolCallId": tool.call_id,
            "toolName": tool.name,
            "content": tool.content,
            "isError": tool.status != "completed",
            "timestamp": now_ms,
        }
        for tool in part.tools
    ]
    return [message, *results]


def _chunk_text(update: dict[str, Any]) -> str:
    content = update.get("content")
    if not isinstance(content, dict):
        return ""
    if content.get("type") == "text":
        return str(content.get("text") or "")
    if content.get("type") == "resource_link":
        return f"[{content.get('name') or 'link'}]({content.get('uri') or ''})"
    return ""


def _tool_name(update: dict[str, Any]) -> str:
    meta = update.get("_meta")
    named = meta.get("toolName") if isinstance(meta, dict) else None
    return str(named or update.get("title") or update.get("kind") or "tool")[:200]


def _tool_content(update: dict[str, Any]) -> list[dict[str, Any]]:
    """A tool's output as transcript blocks: text, images, and diffs as text."""
    blocks: list[dict[str, Any]] = []
    content = update.get("content")
    for item in content if isinstance(content, list) else []:
        if not isinstance(item, dict):
            continue
        inner = item.get("content")
        if item.get("type") == "diff":
            blocks.append(text_block(f"{item.get('path')}\n{item.get('newText')}"[:MAX_TOOL_TEXT]))
        elif isinstance(inner, dict) and inner.get("type") == "text":
            blocks.append(text_block(str(inner.get("text") or "")[:MAX_TOOL_TEXT]))
        elif isinstance(inner, dict) and inner.get("type") == "image":
            blocks.append(
                {"type": "image", "data": inner.get("data"), "mimeType": inner.get("mimeType")}
            )
    if not blocks and isinstance(update.get("rawOutput"), str):
        blocks.append(text_block(update["rawOutput"][:MAX_TOOL_TEXT]))
    return blocks
