"""What the Gateway tells this process: the model, the provider, the key.

The configuration is data and holds no secret. The key is looked up when it is needed, in this
order: the Gateway's inline key, the variable named by ``apiKeyEnv``, the file named by
``apiKeyFile``, the provider's usual variable. The first three were given for one provider, the
configured one; a turn that asks for another provider gets that provider's usual variable or
nothing, so that no key is ever sent to a stranger.

Every key that was read is remembered by :class:`Secrets`, which takes it out of any text that
leaves the process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Literal

import msgspec

from .errors import TurnError

CONFIG_VARIABLE = "CLAWGW_AGENT_CONFIG"
KEY_VARIABLE = "CLAWGW_AGENT_API_KEY"

Api = Literal[
    "openai-completions", "openai-responses", "anthropic-messages", "google-generative-ai"
]

_USUAL_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_KEY_SHAPE = re.compile(r"\b(?:sk|pk|rk|xai|gsk)-[A-Za-z0-9_*.\-]{4,}|\bAIza[A-Za-z0-9_\-]{8,}")
_SHORTEST_SECRET = 4


class ConfigError(Exception):
    """The configuration cannot be used; the message names the field and what was expected."""


class ProviderConfig(msgspec.Struct, frozen=True, rename="camel"):
    """How to reach the configured provider.

    ``context_window`` is in tokens, ``timeout_seconds`` is the longest silence of the provider
    that is waited for.
    """

    api: Api | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    context_window: int | None = None
    timeout_seconds: float = 120.0


class AgentConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The content of ``CLAWGW_AGENT_CONFIG``. Everything is optional; nothing means local."""

    model: str | None = None
    provider: ProviderConfig | None = None
    system_prompt: str | None = None
    state_dir: str | None = None


def read_config(text: str | None) -> AgentConfig:
    """Decode the configuration.

    :param text: the JSON text, or nothing.
    :raises ConfigError: it is no JSON, or a field has the wrong type.
    """
    if not text:
        return AgentConfig()
    try:
        config = msgspec.json.decode(text, type=AgentConfig)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{CONFIG_VARIABLE} is not valid: {error}") from None
    provider = config.provider
    if provider is not None and not 0 < provider.timeout_seconds <= 3600:
        raise ConfigError(
            f"{CONFIG_VARIABLE} is not valid: provider.timeoutSeconds must be above 0 "
            "and at most 3600"
        )
    return config


class Secrets:
    """The keys this process knows: hands them out, and takes them out of text."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the inline key out of ``environ``, so that no child process inherits it."""
        self._environ = environ
        self._inline = environ.pop(KEY_VARIABLE, None) or None
        self._known: set[str] = set()
        self._remember(self._inline)

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._known)} known>"

    def key_for(self, provider: str, config: ProviderConfig | None) -> str | None:
        """The API key for a provider, or nothing when there is none.

        :param provider: the provider's name, lower case.
        :param config: the settings, only when ``provider`` is the one they were written for.
        :raises TurnError: a variable or file was named and holds no key.
        """
        key = self._configured_key(config) if config is not None else None
        if key is None:
            key = next(filter(None, map(self._environ.get, usual_variables(provider))), None)
        return self._remember(key)

    def redact(self, text: str) -> str:
        """``text`` without any known key, and without anything that looks like one."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "[key]")
        return _KEY_SHAPE.sub("[key]", text)

    def _configured_key(self, config: ProviderConfig) -> str | None:
        if self._inline is not None:
            return self._inline
        if config.api_key_env:
            key = self._environ.get(config.api_key_env, "").strip()
            if not key:
                raise TurnError(
                    "auth",
                    f"The environment variable {config.api_key_env} (apiKeyEnv) is not set in "
                    "the Gateway's environment.",
                )
            return key
        if config.api_key_file:
            return _read_key_file(config.api_key_file)
        return None

    def _remember(self, key: str | None) -> str | None:
        if key is not None and len(key) >= _SHORTEST_SECRET:
            self._known.add(key)
        return key


def usual_variables(provider: str) -> tuple[str, ...]:
    """The environment variables a provider's key is usually in, the preferred one first."""
    usual = _USUAL_VARIABLES.get(provider)
    return usual or (re.sub(r"\W", "_", provider).upper() + "_API_KEY",)


def _read_key_file(path: str) -> str:
    try:
        key = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key:
        raise TurnError("auth", f"The file {path} (apiKeyFile) cannot be read or holds no key.")
    return key
