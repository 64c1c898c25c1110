"""Slack's message text as people read it.

Text comes escaped (`&amp; &lt; &gt;`), and with everything special in angle brackets: `<@U1>` a
person, `<#C1|name>` a channel, `<!here>` a group, `<!date^…|fallback>`, `<https://…|label>` a link.
(https://docs.slack.dev/messaging/formatting-message-text)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_SPECIAL = re.compile(r"<([^<>\s][^<>\n]{0,3000})>")
_ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))

NameOf = Callable[[str], str | None]
"""A person's name, by id, where it is known."""


def readable(text: str, name_of: NameOf) -> str:
    """The text with names and addresses in place of the special forms."""
    return unescape(_SPECIAL.sub(lambda found: _shown(found[1], name_of), text))


def unescape(text: str) -> str:
    """The three characters that Slack escapes, as they are."""
    for escaped, char in _ESCAPED:
        text = text.replace(escaped, char)
    return text


def mentioned(text: str) -> Iterator[str]:
    """The ids of the people a text mentions."""
    for special in _SPECIAL.findall(text):
        if special.startswith("@"):
            yield special[1:].partition("|")[0]


def without_leading_mention(text: str, user: str) -> str:
    """The text without a mention of this person at its beginning."""
    return re.sub(rf"^\s*<@{re.escape(user)}(\|[^<>]*)?>[\s,:]*", "", text)


def _shown(special: str, name_of: NameOf) -> str:
    target, _, label = special.partition("|")
    match target[0]:
        case "@":
            return f"@{name_of(target[1:]) or label or target[1:]}"
        case "#":
            return f"#{label or target[1:]}"
        case "!":
            return _command(target[1:], label)
    address = target.removeprefix("mailto:").removeprefix("tel:")
    return f"{label} ({target})" if label and label not in (address, target) else address


def _command(name: str, label: str) -> str:
    """`<!here>` as `@here`; a date or a user group as what stands for it."""
    if "^" in name:
        return label or name.partition("^")[0]
    return label if label.startswith("@") else f"@{name}"
