"""Addresses of WhatsApp, and how people write them.

WhatsApp addresses by jid: `4915112345678@s.whatsapp.net` is a phone number, `12345@lid` a person
whose number need not be known, `123-456@g.us` a group. People write a number with its country code.
A chat with a person whose number is known goes by that number here (`+4915112345678`), because this
is what stands in allowlists; other chats go by their jid.
"""

from __future__ import annotations

import re

_PHONE_JID = re.compile(r"([1-9]\d{5,14})(?::\d+)?@(?:s\.whatsapp\.net|c\.us)", re.ASCII)
_OTHER_JID = re.compile(r"[0-9A-Za-z._-]{1,64}@(?:lid|g\.us)", re.ASCII)
_PHONE = re.compile(r"(?:\+|00)?([1-9]\d{5,14})", re.ASCII)
_FILLING = re.compile(r"[\s().\-/]")


def phone_of(jid: str) -> str | None:
    """`+4915112345678` of a phone number's jid."""
    found = _PHONE_JID.fullmatch(jid)
    return f"+{found[1]}" if found else None


def chat_of(jid: str) -> str:
    """What a chat is called here."""
    return phone_of(jid) or jid


def jid_of(chat: str) -> str:
    """The jid of a chat as it is called here."""
    return f"{chat[1:]}@s.whatsapp.net" if chat.startswith("+") else chat


def parse_chat(text: str) -> str:
    """The chat that somebody means.

    Raises:
        ValueError: neither a number nor a jid.
    """
    bare = text.strip().removeprefix("whatsapp:").strip()
    if _OTHER_JID.fullmatch(bare):
        return bare
    phone = phone_of(bare)
    if phone is not None:
        return phone
    found = _PHONE.fullmatch(_FILLING.sub("", bare))
    if found:
        return f"+{found[1]}"
    raise ValueError(
        f"{text!r} is neither a phone number with its country code, such as +49 151 12345678, "
        "nor a group's address, such as 120363012345678901@g.us"
    )
