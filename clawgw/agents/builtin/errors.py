"""Failures, told to the person who waits for the answer.

Every failure of a turn ends here and leaves as one :class:`TurnError`: a kind for programs and
one sentence for people, which says what failed and what to change. What a provider wrote in
its error is quoted only where it is the sole explanation, shortened, and never for a refused
key, because providers like to repeat the key they refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pydantic_ai import exceptions as ai

    from .models import Choice

ErrorKind = Literal[
    "auth",
    "quota",
    "rate_limit",
    "model_not_found",
    "unreachable",
    "timeout",
    "interrupted",
    "context",
    "overloaded",
    "rejected",
    "config",
    "local_model",
    "tool_server",
    "state",
    "internal",
]
_LONGEST_QUOTE = 300
_RETRYABLE: frozenset[ErrorKind] = frozenset(
    {"rate_limit", "unreachable", "timeout", "interrupted", "overloaded"}
)


class TurnError(Exception):
    """A turn cannot be completed.

    :ivar kind: what failed, for programs.
    :ivar sentence: what failed and what to change, for people.
    """

    def __init__(self, kind: ErrorKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence

    @property
    def retryable(self) -> bool:
        """Whether the same turn may succeed later without a change of settings."""
        return self.kind in _RETRYABLE


def explain(error: BaseException, choice: Choice) -> TurnError:
    """Turn whatever a turn raised into a sentence. The model libraries must be loaded.

    :param error: the exception a run ended with.
    :param choice: the model the turn was for.
    """
    from pydantic_ai import exceptions as ai

    if isinstance(error, TurnError):
        return error
    nested = _first_nested(error)
    if nested is not None:
        return explain(nested, choice)
    if isinstance(error, ai.ModelAPIError):
        return _explain_provider(error, choice)
    if isinstance(error, ImportError):
        return TurnError(
            "config",
            f"The library for the provider {choice.provider!r} is not installed: run "
            f"pip install 'pydantic-ai-slim[{choice.provider}]' or choose another model.",
        )
    if isinstance(error, ai.UserError):
        return TurnError("config", f"The model {choice.label} cannot be used: {quote(str(error))}")
    if isinstance(error, ai.UnexpectedModelBehavior):
        return TurnError("rejected", f"{choice.label} gave no usable answer: {quote(str(error))}")
    return TurnError(
        "internal",
        f"The turn with {choice.label} failed unexpectedly ({type(error).__name__}); "
        "the agent's log says where.",
    )


def quote(text: str) -> str:
    """One line of somebody else's text, short enough to stand in a sentence."""
    line = re.sub(r"\s+", " ", text).strip()
    if len(line) > _LONGEST_QUOTE:
        line = line[: _LONGEST_QUOTE - 1].rstrip() + "…"
    return line if line.endswith((".", "!", "?", "…")) else line + "."


def _first_nested(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    return None


def _explain_provider(error: ai.ModelAPIError, choice: Choice) -> TurnError:
    from pydantic_ai import exceptions as ai

    cases: tuple[tuple[type[Exception], ErrorKind, Callable[[], str]], ...] = (
        (ai.ModelAuthenticationError, "auth", lambda: _refused_key(choice)),
        (ai.ModelNotFoundError, "model_not_found", lambda: _unknown_model(choice)),
        (ai.ModelQuotaExceededError, "quota", lambda: _quota(choice)),
        (ai.ModelRateLimitError, "rate_limit", lambda: _rate_limit(error, choice)),
        (ai.ModelContextWindowExceededError, "context", lambda: _too_long(choice)),
        (ai.ModelTimeoutError, "timeout", lambda: _silent(choice)),
        (ai.ModelRequestTimeout, "timeout", lambda: _silent(choice)),
        (ai.ModelUnavailableError, "overloaded", lambda: _overloaded(choice)),
        (ai.ModelServerError, "overloaded", lambda: _overloaded(choice)),
    )
    for category, kind, sentence in cases:
        if isinstance(error, category):
            return TurnError(kind, sentence())
    if isinstance(error, ai.ModelConnectionError):
        if error.phase == "connect":
            return TurnError("unreachable", _unreachable(choice))
        return TurnError("interrupted", _cut_off(choice))
    return TurnError("rejected", f"{choice.place} rejected the request: {_said(error)}")


def _refused_key(choice: Choice) -> str:
    return (
        f"{choice.place} refused the API key for {choice.label}: set a valid key "
        f"(apiKey, apiKeyEnv or apiKeyFile of the provider, or {choice.key_variable})."
    )


def _unknown_model(choice: Choice) -> str:
    advice = "check the model name"
    if choice.base_url:
        advice += " and the provider's baseUrl"
    return f"{choice.place} has no model {choice.name!r}: {advice}."


def _quota(choice: Choice) -> str:
    return (
        f"The quota or credit of the account at {choice.place} is used up: "
        "top it up or choose another model."
    )


def _rate_limit(error: ai.ModelAPIError, choice: Choice) -> str:
    wait = "a moment" if error.retry_after is None else f"{error.retry_after:.0f} seconds"
    return f"{choice.place} is limiting requests: wait {wait} and try again."


def _too_long(choice: Choice) -> str:
    return (
        f"The conversation is too long for {choice.label}: start a new session, "
        "or set the provider's contextWindow so that old messages are left out."
    )


def _silent(choice: Choice) -> str:
    return (
        f"No answer from {choice.place} within {choice.timeout:g} seconds: try again, "
        "or check the provider's baseUrl."
    )


def _overloaded(choice: Choice) -> str:
    return f"{choice.place} cannot answer at the moment: try again later or choose another model."


def _unreachable(choice: Choice) -> str:
    return f"Cannot reach {choice.place}: check the network and the provider's baseUrl."


def _cut_off(choice: Choice) -> str:
    return f"The connection to {choice.place} broke off before the answer was complete: try again."


def _said(error: ai.ModelAPIError) -> str:
    """What the provider gave as the reason, from the usual places in an error body."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            inner = inner.get("message", inner)
        return quote(str(inner))
    status = getattr(error, "status_code", None)
    return quote(f"HTTP {status}" if status else error.message)
