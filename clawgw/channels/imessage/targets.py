"""Chats and how they are addressed.

A chat is called by its number in the database (`42`), or as somebody wrote it: by GUID, by its
identifier, or by the handle of a person, which is a phone number or an e-mail address, with `sms:`
in front where it must not go out as an iMessage, and `tel:` where it is a number without `+`.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"[0-9]{1,18}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{3,24}")
_MAIL = re.compile(r"[^\s@:]+@[^\s@:]+\.[^\s@:]+")


def address(text: str) -> str:
    """The chat that an address as people write it means.

    Raises:
        ValueError: it is none.
    """
    bare = text.strip()
    kind, colon, rest = bare.partition(":")
    kind, rest = kind.lower(), rest.strip()
    if colon and kind == "imessage":
        return address(rest)
    if colon and kind in ("chat_id", "chat") and _NUMBER.fullmatch(rest):
        return rest
    if colon and kind in ("chat_guid", "chat_identifier") and rest:
        return f"{kind}:{rest}"
    if colon and kind == "sms" and _PHONE.fullmatch(rest):
        return f"sms:{_digits(rest)}"
    digits = _digits(bare)
    if _PHONE.fullmatch(bare) and (bare.startswith("+") or len(digits) >= 7):
        return digits if bare.startswith("+") else f"tel:{digits}"
    if _NUMBER.fullmatch(bare):
        return bare
    if _MAIL.fullmatch(bare):
        return bare.lower()
    raise ValueError(
        f"{text[:60]!r} is no address in Messages: expected a phone number such as +15551234567, "
        "an e-mail address, 'chat_id:…', 'chat_guid:…' or 'sms:…'"
    )


def parameters(chat: str, service: str, region: str) -> dict[str, Any]:
    """The parameters of `send` that address a chat."""
    number = number_of(chat)
    if number is not None:
        return {"chat_id": number}
    kind, colon, rest = chat.partition(":")
    if colon and kind in ("chat_guid", "chat_identifier"):
        return {kind: rest}
    if colon and kind in ("sms", "tel"):
        return {"to": rest, "service": "sms" if kind == "sms" else service, "region": region}
    return {"to": chat, "service": service, "region": region}


def number_of(chat: str) -> int | None:
    """A chat's number, where it is called by that."""
    return int(chat) if _NUMBER.fullmatch(chat) else None


def is_meant(chat: str, listed: dict[str, Any]) -> bool:
    """Whether a chat that `chats.list` names is the one."""
    kind, colon, rest = chat.partition(":")
    if colon and kind == "chat_guid":
        return bool(listed.get("guid") == rest)
    handle = rest if colon and kind in ("chat_identifier", "sms", "tel") else chat
    identifier = listed.get("identifier")
    if colon and kind in ("sms", "tel") and not handle.startswith("+"):
        return isinstance(identifier, str) and _is_dialled_as(identifier, handle)
    return bool(identifier == handle)


def _is_dialled_as(number: str, dialled: str) -> bool:
    """Whether a number with its country can be the one that is dialled without it."""
    return number.startswith("+") and number.endswith(dialled.lstrip("0") or dialled)


def _digits(phone: str) -> str:
    return ("+" if phone.startswith("+") else "") + "".join(c for c in phone if c.isdigit())
