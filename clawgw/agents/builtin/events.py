"""From pydantic-ai's events to ACP's session updates, live and for a replay.

Text and thoughts are passed on as they arrive. A tool call is announced when its arguments are
complete, with the arguments as ``rawInput``, and updated once, when its result is there. Images
in a result stay images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from acp.helpers import (
    ContentBlock,
    image_block,
    start_tool_call,
    text_block,
    tool_content,
    update_agent_message_text,
    update_agent_thought_text,
    update_tool_call,
    update_user_message,
)
from acp.schema import (
    AgentMessageChunk,
    AgentThoughtChunk,
    ToolCallProgress,
    ToolCallStart,
    UserMessageChunk,
)
from pydantic_ai.messages import (
    BinaryContent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelMessage,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

Update = AgentMessageChunk | AgentThoughtChunk | ToolCallStart | ToolCallProgress | UserMessageChunk

_FAILED = frozenset({"failed", "denied", "interrupted", "retried"})


def live(event: object) -> Iterator[Update]:
    """The updates for one event of a run."""
    match event:
        case PartStartEvent(part=TextPart() | ThinkingPart() as part):
            yield from _said(part)
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)) if text:
            yield update_agent_message_text(text)
        case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text)) if text:
            yield update_agent_thought_text(text)
        case FunctionToolCallEvent(part=call):
            yield _call(call)
        case FunctionToolResultEvent(part=result, content=more):
            yield _result(result, more)


def replay(messages: Sequence[ModelMessage]) -> Iterator[Update]:
    """The updates that tell a conversation from its beginning."""
    for message in messages:
        for part in message.parts:
            match part:
                case UserPromptPart(content=content):
                    for block in _blocks(content):
                        yield update_user_message(block)
                case TextPart() | ThinkingPart():
                    yield from _said(part)
                case ToolCallPart():
                    yield _call(part)
                case ToolReturnPart():
                    yield _result(part, None)


def _said(part: TextPart | ThinkingPart) -> Iterator[Update]:
    if part.content:
        text = isinstance(part, TextPart)
        yield (update_agent_message_text if text else update_agent_thought_text)(part.content)


def _call(call: ToolCallPart) -> ToolCallStart:
    return start_tool_call(
        call.tool_call_id,
        call.tool_name,
        kind="other",
        status="in_progress",
        raw_input=_arguments(call.args),
    )


def _result(result: ToolReturnPart, more: Any) -> ToolCallProgress:
    blocks = [*_blocks(result.content), *_blocks(more)]
    return update_tool_call(
        result.tool_call_id,
        status="failed" if result.outcome in _FAILED else "completed",
        content=[tool_content(block) for block in blocks],
    )


def _arguments(args: str | dict[str, Any] | None) -> Any:
    if not isinstance(args, str):
        return args or {}
    try:
        return json.loads(args)
    except ValueError:
        return {"arguments": args}


def _blocks(content: Any) -> Iterator[ContentBlock]:
    """Anything a message can contain, as content blocks."""
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield text_block(content)
    elif isinstance(content, BinaryContent):
        if content.is_image:
            yield image_block(content.base64, content.media_type)
        else:
            yield text_block(f"[{content.media_type}, {len(content.data)} bytes]")
    elif isinstance(content, list | tuple):
        for item in content:
            yield from _blocks(item)
    elif isinstance(content, dict):
        yield text_block(json.dumps(content, ensure_ascii=False, default=str))
    else:
        yield text_block(str(getattr(content, "content", content)))
