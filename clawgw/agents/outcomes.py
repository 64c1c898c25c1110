"""How a run ended: what is said of it in the store, the transcript and the final answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from clawgw.agents.stream import RunStream
from clawgw.protocol import agents as wire
from clawgw.sessions.book import ModelInfo
from clawgw.sessions.messages import assistant_message

SESSION_STATUS = {"ok": "done", "error": "failed", "timeout": "timeout", "aborted": "killed"}
"""What a session is said to be after a run, by how that ended."""

_STOP_REASONS = {"end_turn": "stop", "max_tokens": "length", "max_turn_requests": "length"}


class Outcome(NamedTuple):
    """How a run ended. `state` is the store's: ok, error, timeout, aborted."""

    state: str
    stop_reason: str = "stop"
    error: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


def outcome_of(result: Any) -> Outcome:
    """How a turn of the agent ended, by ACP's stop reason."""
    if result.stop_reason == "cancelled":
        return Outcome("aborted", "aborted", None, result.input_tokens, result.output_tokens)
    if result.stop_reason == "refusal":
        return Outcome("error", "error", "the agent refused to answer this")
    reason = _STOP_REASONS.get(result.stop_reason, result.stop_reason)
    return Outcome("ok", reason, None, result.input_tokens, result.output_tokens)


def failure_message(error: str, now_ms: int) -> dict[str, Any]:
    """What a transcript has in place of an answer."""
    return assistant_message("", now_ms, stopReason="error", errorMessage=error)


def transcript_of(
    stream: RunStream | None, outcome: Outcome, model: ModelInfo, now_ms: int
) -> list[dict[str, Any]]:
    """The messages that a run adds to its session's transcript.

    Args:
        stream: what the agent said; None if the run never began.
    """
    if stream is None:
        return [failure_message(outcome.error, now_ms)] if outcome.error else []
    closing: dict[str, Any] = {"stopReason": outcome.stop_reason}
    if outcome.error:
        closing["errorMessage"] = outcome.error
    elif outcome.state == "aborted" and not stream.text:
        return []
    if outcome.output_tokens or outcome.input_tokens:
        total = outcome.input_tokens + outcome.output_tokens
        closing["usage"] = {
            "input": outcome.input_tokens, "output": outcome.output_tokens, "totalTokens": total,
        }  # fmt: skip
    if model.provider:
        closing |= {"provider": model.provider, "model": model.model}
    return stream.transcript(now_ms, closing)


def result_of(
    text: str, outcome: Outcome, model: ModelInfo, session_id: str, duration_ms: int
) -> wire.RunResult:
    """The final answer of `agent`."""
    return wire.RunResult(
        payloads=[wire.RunPayload(text=text)] if text else [],
        meta=wire.RunMeta(
            duration_ms=max(0, duration_ms),
            agent_meta=wire.AgentMeta(
                session_id=session_id,
                provider=model.provider,
                model=model.model,
                usage=wire.RunUsage(
                    input=outcome.input_tokens,
                    output=outcome.output_tokens,
                    total=outcome.input_tokens + outcome.output_tokens,
                ),
            ),
            aborted=outcome.state == "aborted",
            stop_reason=outcome.stop_reason,
        ),
    )
