"""Edits that change nothing.

Telegram calls it an edit, too, when somebody reacts to a message or when something else about it
changes that bots are not shown, and does not say which it was (core.telegram.org/bots/api,
"Update", `edited_message`; github.com/tdlib/telegram-bot-api, issue 388). Nobody wants an answer to
that, so what the latest messages say is remembered, and an edit that says the same is none. What
was written before the start is not remembered; an edit of that is believed.
"""

from __future__ import annotations

from collections import OrderedDict

from clawgw.channels.messages import Inbound

REMEMBERED = 1_000
EDIT = ":edit:"
"""Stands in an edit's id between the message's and what names the version."""


class Edits:
    """Knows what the latest messages say."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def changes_something(self, message: Inbound) -> bool:
        """Whether a message, or an edit of one, says what was not said before.

        The very same edit is told again when it could not be stored, and is still one then.
        """
        base, edit, _ = message.message_id.partition(EDIT)
        says = _says(message)
        known = self._known.get(base)
        if known is not None:
            if not edit:
                return True  # an old message is told again; what it says now, its edit has told
            if known[1] == says and known[0] != message.message_id:
                return False
        self._known[base] = message.message_id, says
        self._known.move_to_end(base)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True


def _says(message: Inbound) -> int:
    files = tuple((file.kind, file.mime_type, file.name, file.size) for file in message.media)
    return hash((message.text, message.mentioned, files))
