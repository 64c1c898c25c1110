"""Buttons under a message, as Slack's Block Kit has them.

A message with blocks shows only these, so its text becomes sections, each within Slack's limit.
(https://docs.slack.dev/reference/block-kit/)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clawgw.channels.messages import Button
from clawgw.channels.slack.api import Json

SECTION_CHARS = 3_000
BUTTON_CHARS = 75
ROW_BUTTONS = 25
MOST_BLOCKS = 50


def blocks_of(text: str, rows: Sequence[Sequence[Button]]) -> list[Json] | None:
    """The blocks of a message with buttons; None: it has none, or does not fit."""
    if not any(rows):
        return None
    blocks = [*map(_section, _pieces(text)), *_rows(rows)]
    return blocks if len(blocks) <= MOST_BLOCKS else None


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces, cut at lines where that is possible."""
    while len(text) > SECTION_CHARS:
        cut = text.rfind("\n", 1, SECTION_CHARS)
        cut = SECTION_CHARS if cut < 0 else cut
        yield text[:cut]
        text = text[cut:].removeprefix("\n")
    if text:
        yield text


def _rows(rows: Sequence[Sequence[Button]]) -> Iterator[Json]:
    for number, row in enumerate(rows):
        buttons = [_button(button, number, place) for place, button in enumerate(row)]
        if buttons:
            yield {"type": "actions", "elements": buttons[:ROW_BUTTONS]}


def _button(button: Button, row: int, place: int) -> Json:
    label = {"type": "plain_text", "text": button.text[:BUTTON_CHARS], "emoji": True}
    shown: Json = {
        "type": "button",
        "action_id": f"clawgw:{row}:{place}",
        "text": label,
        "value": button.data,
    }
    return {**shown, "style": button.style} if button.style else shown
