"""An account in the configuration file: added, changed, removed; as text, see `config_edit`.

One account stands in the channel's section itself. When a second one comes, the first becomes
`accounts.default` with what is its own (the secrets); what it said for itself and holds for all
stays in the section.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawgw.channels.settings import OWN_KEYS
from clawgw.config_edit import document, put, remove

DEFAULT = "default"


def with_account(text: str, channel: str, account: str, values: Mapping[str, Any]) -> str:
    """The file with an account; what it has already and `values` does not name, it keeps.

    Args:
        values: keys of the account as the file has them; None removes one.

    Raises:
        ConfigError: the file cannot be changed.
    """
    base = ["channels", channel]
    section = _section(text, channel)
    if section is None:
        place = base if account == DEFAULT else [*base, "accounts", account]
    elif section.get("accounts"):
        place = [*base, "accounts", account]
    elif account == DEFAULT:
        place = base
    else:
        text = _with_accounts(text, base, section)
        place = [*base, "accounts", account]
    given = {key: value for key, value in values.items() if value is not None}
    if not isinstance(_at(text, place), dict):
        return put(text, place, given)
    for key, value in given.items():
        text = put(text, [*place, key], value)
    for key in values.keys() - given.keys():
        text = remove(text, [*place, key])
    return text


def without_account(text: str, channel: str, account: str) -> str:
    """The file without an account; with the last one, the channel's section goes.

    Raises:
        ConfigError: the file cannot be changed.
    """
    section = _section(text, channel) or {}
    others = set(section.get("accounts") or {}) - {account}
    if others:
        return remove(text, ["channels", channel, "accounts", account])
    text = remove(text, ["channels", channel])
    return text if _at(text, ["channels"]) else remove(text, ["channels"])


def _with_accounts(text: str, base: list[str], section: Mapping[str, Any]) -> str:
    """The file with the section's only account under `accounts`, by its name."""
    own = {key: section[key] for key in section if key in OWN_KEYS and key != "accounts"}
    text = put(text, [*base, "accounts"], {DEFAULT: own})
    for key in own:
        text = remove(text, [*base, key])
    return text


def _section(text: str, channel: str) -> dict[str, Any] | None:
    found = _at(text, ["channels", channel])
    return found if isinstance(found, dict) else None


def _at(text: str, path: list[str]) -> Any:
    found: Any = document(text)
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found
