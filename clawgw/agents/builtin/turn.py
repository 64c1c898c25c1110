"""One turn: a question, the model's answer with its tool calls, and what is kept of them.

What is kept depends on how the turn ended:

* completed or cancelled: everything, a half-said answer included;
* failed after a tool had acted: everything up to there, because the action happened;
* failed otherwise: nothing. The question itself may be what the provider refuses, and kept, it
  would make every later turn fail too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_ai import Agent, AgentRunResultEvent
from pydantic_ai.exceptions import (
    ContentFilterError,
    OutputTokenLimitExceeded,
    RunCancelled,
    UsageLimitExceeded,
    UserError,
)
from pydantic_ai.messages import FinishReason, ModelMessage, ModelResponse, UserContent
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from .events import Update, live

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]

_MOST_REQUESTS = 100
_STOP: dict[FinishReason | None, StopReason] = {
    "length": "max_tokens",
    "content_filter": "refusal",
}


@dataclass
class Turn:
    """A turn to run, and afterwards its outcome.

    :ivar model: who answers.
    :ivar instructions: the system prompt, or nothing.
    :ivar toolsets: connected pydantic-ai toolsets.
    :ivar timeout: longest silence of the model that is waited for, in seconds.
    :ivar new: what is to be appended to the conversation, whatever way :meth:`run` ended.
    :ivar usage: tokens used.
    """

    model: Model[Any]
    instructions: str | None
    toolsets: Sequence[Any]
    timeout: float
    new: list[ModelMessage] = field(default_factory=list)
    usage: RunUsage = field(default_factory=RunUsage)

    async def run(
        self,
        prompt: str | Sequence[UserContent],
        history: Sequence[ModelMessage],
        emit: Callable[[Update], Awaitable[None]],
    ) -> StopReason:
        """Run the turn.

        :param emit: gets every update while it happens.
        :raises asyncio.CancelledError: the task was cancelled; ``new`` holds what there is.
        :raises Exception: whatever the model library raises.
        """
        agent = Agent(
            self.model, instructions=self.instructions, toolsets=self.toolsets, name="clawgw"
        )
        stream = agent.run_stream_events(
            prompt,
            message_history=list(history),
            model_settings=ModelSettings(
                timeout=self.timeout, first_event_timeout=self.timeout, max_retries=1
            ),
            usage_limits=UsageLimits(request_limit=_MOST_REQUESTS),
        )
        events: Any = None
        try:
            async with stream as events:
                async for event in events:
                    if isinstance(event, AgentRunResultEvent):
                        self._take(event.result.new_messages(), event.result.usage)
                        return _STOP.get(event.result.response.finish_reason, "end_turn")
                    for update in live(event):
                        await emit(update)
            return "end_turn"
        except asyncio.CancelledError as error:
            if cancelled := RunCancelled.from_cancellation(error):
                self._take(cancelled.new_messages(), cancelled.usage)
            raise
        except (UsageLimitExceeded, OutputTokenLimitExceeded, ContentFilterError) as error:
            self._take_what_happened(events)
            if isinstance(error, UsageLimitExceeded):
                return "max_turn_requests"
            return "refusal" if isinstance(error, ContentFilterError) else "max_tokens"
        except Exception:
            self._take_what_happened(events)
            if not _a_tool_acted(self.new):
                self.new = []
            raise

    def _take_what_happened(self, events: Any) -> None:
        with contextlib.suppress(UserError):  # it had not begun
            self._take(events.new_messages(), events.usage)

    def _take(self, messages: Sequence[ModelMessage], usage: RunUsage) -> None:
        self.new = [
            message
            for message in messages
            if message.parts or not isinstance(message, ModelResponse)
        ]
        self.usage = usage


def _a_tool_acted(messages: Sequence[ModelMessage]) -> bool:
    return any(part.part_kind == "tool-return" for message in messages for part in message.parts)
