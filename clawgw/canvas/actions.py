"""Actions: somebody pressed a button on an A2UI surface, and the agent hears of it.

An action becomes a message in the session its surface belongs to, visible like everything that was
said there, and is answered like one. It is accepted as durably as a message: once the screen is
told so it is stored, and a screen that did not hear of it and sends it again sends the same one.

It is bounded: only surfaces that are there, only so many bytes, only so many a minute. A canvas
page cannot send one, see `policies`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from clawgw.agents.prompts import Prompt
from clawgw.agents.runs import RunManager
from clawgw.canvas.a2ui import Board, Id
from clawgw.protocol.errors import RequestError
from clawgw.sessions.keys import SessionKeys

MAX_DETAIL_BYTES = 32 * 1024
BURST = 20
PER_SECOND = 0.5
METHOD = "canvas.action"


class UserAction(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a screen sends.

    The fields are those of the A2UI client message, and two of ours: `id`, which makes sending it
    again harmless, and the data model where a surface asked for it.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{8,64}$")]
    name: Id
    surface_id: Id
    source_component_id: Annotated[str, Meta(max_length=200)] = ""
    timestamp: Annotated[str, Meta(max_length=64)] = ""
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    data_model: Any = UNSET


class ActionRefused(Exception):
    """An action was not passed on; the message is for the person who pressed."""


class Allowance:
    """So many at once, and so many per second after that."""

    def __init__(self, burst: int, per_second: float, now_ms: Callable[[], int]) -> None:
        self._burst = float(burst)
        self._per_ms = per_second / 1000
        self._now_ms = now_ms
        self._left = self._burst
        self._at = now_ms()

    def take(self) -> bool:
        """Use one; False when there is none left."""
        now = self._now_ms()
        self._left = min(self._burst, self._left + max(0, now - self._at) * self._per_ms)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Actions:
    """Passes actions on to agents.

    Args:
        board: the surfaces there are.
        runs: who takes messages in.
        keys: whose sessions they are.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(
        self, board: Board, runs: RunManager, keys: SessionKeys, now_ms: Callable[[], int]
    ) -> None:
        self._board = board
        self._runs = runs
        self._keys = keys
        self._allowance = Allowance(BURST, PER_SECOND, now_ms)

    async def take(self, action: UserAction) -> None:
        """Tell the agent of an action; returns when it is stored.

        Raises:
            ActionRefused: it was not passed on.
        """
        surface = self._board.surfaces().get(action.surface_id)
        if surface is None:
            raise ActionRefused("this surface is no longer there")
        text = describe(action)
        if len(text.encode()) > MAX_DETAIL_BYTES:
            raise ActionRefused(f"the form has more than {MAX_DETAIL_BYTES // 1024} KiB in it")
        if not self._allowance.take():
            raise ActionRefused("too many actions in a short time; wait a moment")
        name = self._keys.parse(surface.session_key)
        run_id = f"canvas-{action.id}"
        try:
            await self._runs.accept(METHOD, action, name, name.key, Prompt(text=text), run_id)
        except RequestError as problem:
            raise ActionRefused(problem.message) from None


def describe(action: UserAction) -> str:
    """An action as a message: a line that a person understands, then the values as JSON."""
    source = f" ({action.source_component_id})" if action.source_component_id else ""
    lines = [f'[Canvas] "{action.name}" on surface "{action.surface_id}"{source}']
    if action.context:
        lines.append(msgspec.json.encode(action.context).decode())
    if not isinstance(action.data_model, UnsetType):
        lines.append(f"Data model: {msgspec.json.encode(action.data_model).decode()}")
    return "\n".join(lines)
